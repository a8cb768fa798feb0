// How a training step estimates its gradient, as plain data, and a plain sentence for options that do not go together.
import {
  assertBoolean,
  assertChoice,
  assertFinite,
  assertInteger,
  describe,
  PushforwardError,
  readOptions,
} from '../errors.ts';
import { lowRank, maxDirections, rademacher, type Sampler, toSampler } from '../samplers.ts';

/** Options of {@link forwardGradient}. */
export interface ForwardGradientOptions {
  /** What the random tangent perturbs: the parameters, or every pre-activation of every example. Default: 'weights' */
  perturb?: 'weights' | 'activations';
  /** With perturb 'activations': the exact gradient of the parameters of the last layer, of each loss, and noise only before it. Default: false */
  exactLast?: boolean;
  /** The law of the tangent. Default: `lowRank({ rank: 1 })`; with perturb 'activations' it is `rademacher()`, and nothing else */
  sampler?: Sampler;
  /** Directions K of one step, an integer from 1 to 1024. Memory and time grow with it, variance falls. Default: 1 */
  directions?: number;
  /**
   * How K directions become one estimate: 'mean', (1/K) Σ c_k v_k; or 'projection', U (UᵀU)⁻¹ c for U = [v_1 … v_K], the gradient's
   * projection on what the directions span (arXiv 2410.17764): K / n of the gradient on average, so biased, and never longer than it. At
   * most as many directions as there are parameters; directions that are not independent make the step NUMERIC. Default: 'mean'
   */
  combine?: 'mean' | 'projection';
  /** A low-rank direction of the weights for every example: for models of dense layers. Default: false */
  perExample?: boolean;
  /**
   * The largest norm of the estimate over all parameters together, a finite number above 0: a longer one is scaled to it, as a factor on the
   * directional derivatives, so no gradient is stored. Biased wherever it acts. Default: no limit
   */
  clip?: number;
  /**
   * Subtracts what an exponential average s of past estimates predicts: (1/K) Σ (c_k − s·v_k) v_k + s, and then s ← β s + (1 − β) times the
   * estimate; s begins at zero. Without bias, and the variance is that of a gradient ∇f − s. One number of state for each parameter. In a
   * Trainer and in minimize. Default: none
   */
  controlVariate?: {
    /** β, from 0 up to below 1. */
    momentum: number;
  };
}

/** Options of {@link spsa}. */
export interface SpsaOptions {
  /** The law of the directions. Default: `rademacher()` */
  sampler?: Sampler;
  /** Directions K of one step, an integer from 1 to 64: two forward passes each, and as many copies of the model in the plan. Default: 1 */
  directions?: number;
  /**
   * ε, how far the parameters move along a direction, a finite number above 0. Bias grows with ε², rounding with 1/ε
   * (docs/estimators.md). Default: 0.001
   */
  perturbation?: number;
}

/** How a step estimates the gradient: frozen plain data, made by {@link backprop}, {@link forwardGradient} or {@link spsa}. */
export type GradientEstimator =
  | {
      /** Reverse mode over a tape. */
      readonly kind: 'backprop';
      /** Whether segments are computed again in the backward pass instead of kept. */
      readonly checkpoint: boolean | number;
    }
  | {
      /** Directional derivatives along random tangents, in the forward pass. */
      readonly kind: 'forwardGradient';
      /** With every default filled in. */
      readonly options: Readonly<ForwardGradientOptions>;
    }
  | {
      /** Differences of two forward passes along random directions. */
      readonly kind: 'spsa';
      /** With every default filled in. */
      readonly options: Readonly<Required<SpsaOptions>>;
    };

/**
 * The options of a forward gradient with every default filled in.
 * @internal
 */
export interface ForwardGradientSettings {
  readonly perturb: 'weights' | 'activations';
  readonly exactLast: boolean;
  readonly sampler: Sampler;
  readonly directions: number;
  readonly combine: 'mean' | 'projection';
  readonly perExample: boolean;
  readonly clip?: number;
  readonly controlVariate?: { readonly momentum: number };
}

/**
 * The names of the options, to pick them from a call that has others too.
 * @internal
 */
export const forwardGradientOptionNames: readonly (keyof ForwardGradientOptions)[] = Object.freeze([
  'perturb',
  'sampler',
  'directions',
  'combine',
  'perExample',
  'exactLast',
  'clip',
  'controlVariate',
] as const);

/**
 * Reverse mode over a tape: the exact gradient of the batch's mean loss, at the cost of keeping every layer's residuals.
 * @param options `checkpoint`: cut the forward pass into this many segments (true: about the square root of its operations), keep what
 *   enters each, and compute the rest again on the way back: less tape, one more forward pass, the same gradient. An integer from 1 to
 *   65,536 or a boolean. Default: false
 * @throws PushforwardError INVALID_ARGUMENT
 */
export function backprop(options?: { checkpoint?: boolean | number }): GradientEstimator {
  const { checkpoint = false } = readOptions<{ checkpoint?: boolean | number }>('backprop', options, ['checkpoint']);
  if (typeof checkpoint === 'number') assertInteger('backprop', 'checkpoint', checkpoint, 1, 1 << 16);
  else assertBoolean('backprop', 'checkpoint', checkpoint);
  return Object.freeze({ kind: 'backprop', checkpoint });
}

/** Options that exclude each other, a sentence each. */
function assertTogether(where: string, settings: ForwardGradientSettings): void {
  const { perturb, sampler, directions, perExample, exactLast, combine, clip, controlVariate } = settings;
  const varies = controlVariate !== undefined;
  const activations = perturb === 'activations';
  const ownNoise = activations ? "perturb: 'activations'" : 'perExample: true';
  const products = directions * (sampler.rank ?? 1);
  const rules: readonly (readonly [broken: boolean, expected: string, received: string])[] = [
    [exactLast && !activations, "exactLast only with perturb: 'activations'", `perturb: '${perturb}'`],
    [
      activations && sampler.kind !== 'rademacher',
      "no sampler but rademacher() with perturb: 'activations', whose noise is signs",
      sampler.kind,
    ],
    [
      activations && perExample,
      "perExample: false with perturb: 'activations', whose noise is drawn for each example anyway",
      'true',
    ],
    [
      perExample && sampler.kind !== 'lowRank',
      'a lowRank sampler with perExample: true (a dense tangent for each example would be as large as the parameters times the batch)',
      sampler.kind,
    ],
    [
      perExample && products > maxDirections,
      `directions times rank to be at most ${maxDirections} with perExample: true`,
      String(products),
    ],
    [
      combine === 'projection' && (activations || perExample),
      `combine: 'mean' with ${ownNoise}, whose examples have directions of their own and no span in common`,
      "'projection'",
    ],
    [
      clip !== undefined && (activations || perExample),
      `no clip with ${ownNoise}, where the norm of an estimate is not known before it is made`,
      String(clip),
    ],
    [
      varies && (activations || perExample),
      `no controlVariate with ${ownNoise}, whose directions are not of the parameters alone`,
      describe(controlVariate),
    ],
    [
      varies && (combine === 'projection' || clip !== undefined),
      "no controlVariate with combine: 'projection' or clip, which would bias what it keeps unbiased",
      describe(controlVariate),
    ],
  ];
  for (const [broken, expected, received] of rules)
    if (broken) throw new PushforwardError('INVALID_ARGUMENT', where, expected, received);
}

function readControlVariate(where: string, value: unknown): { readonly momentum: number } {
  const { momentum } = readOptions<{ momentum: number }>(`${where} controlVariate`, value, ['momentum']);
  assertFinite(where, 'controlVariate.momentum', momentum, { min: 0, max: 1, below: true });
  return Object.freeze({ momentum });
}

/**
 * Checks the options of a forward gradient and fills in the defaults. Throws INVALID_ARGUMENT.
 * @internal
 */
export function readForwardGradient(where: string, options: unknown): ForwardGradientSettings {
  const read = readOptions<ForwardGradientOptions>(where, options, forwardGradientOptionNames);
  const { perturb = 'weights', exactLast = false, directions = 1, combine = 'mean', perExample = false } = read;
  const { clip, controlVariate } = read;
  assertChoice(where, 'perturb', perturb, ['weights', 'activations']);
  const standard = perturb === 'activations' ? rademacher() : lowRank({ rank: 1 });
  const sampler = read.sampler === undefined ? standard : toSampler(where, 'sampler', read.sampler);
  assertInteger(where, 'directions', directions, 1, maxDirections);
  assertChoice(where, 'combine', combine, ['mean', 'projection']);
  assertBoolean(where, 'perExample', perExample);
  assertBoolean(where, 'exactLast', exactLast);
  if (clip !== undefined) assertFinite(where, 'clip', clip, { min: 0, above: true });
  const settings = {
    perturb,
    sampler,
    directions,
    combine,
    perExample,
    exactLast,
    ...(clip === undefined ? {} : { clip }),
    ...(controlVariate === undefined ? {} : { controlVariate: readControlVariate(where, controlVariate) }),
  };
  assertTogether(where, settings);
  return Object.freeze(settings);
}

/**
 * Forward gradients: one forward pass gives the loss and its directional derivative c along a random tangent v, and c v estimates the
 * gradient without bias. No backward pass, no tape. Baydin, Pearlmutter, Syme, Wood, Torr, *Gradients without Backpropagation*, arXiv
 * 2202.08587.
 * @throws PushforwardError INVALID_ARGUMENT for an unknown option, a value out of its range, or options that exclude each other
 */
export function forwardGradient(options?: ForwardGradientOptions): GradientEstimator {
  return Object.freeze({ kind: 'forwardGradient', options: readForwardGradient('forwardGradient', options) });
}

function readSpsa(where: string, options: unknown): Readonly<Required<SpsaOptions>> {
  const read = readOptions<SpsaOptions>(where, options, ['sampler', 'directions', 'perturbation']);
  const { directions = 1, perturbation = 1e-3 } = read;
  const sampler = read.sampler === undefined ? rademacher() : toSampler(where, 'sampler', read.sampler);
  assertInteger(where, 'directions', directions, 1, 64);
  assertFinite(where, 'perturbation', perturbation, { min: 0, above: true });
  return Object.freeze({ sampler, directions, perturbation });
}

/**
 * Zeroth order: simultaneous perturbation, (1/K) Σ_k (f(θ + ε v_k) − f(θ − ε v_k)) / (2ε) v_k, from 2K forward passes and no derivative (Spall,
 * *Multivariate Stochastic Approximation Using a Simultaneous Perturbation Gradient Approximation*, 1992). The loss that a step reports, and
 * the states of a model such as running averages, are means over its passes. Bias O(ε²).
 * @throws PushforwardError INVALID_ARGUMENT
 */
export function spsa(options?: SpsaOptions): GradientEstimator {
  return Object.freeze({ kind: 'spsa', options: readSpsa('spsa', options) });
}

/**
 * An estimator from what a caller gives or a checkpoint's JSON holds. Throws INVALID_ARGUMENT.
 * @internal
 */
export function toGradientEstimator(
  where: string,
  name: string,
  value: unknown,
):
  | { readonly kind: 'backprop'; readonly checkpoint: boolean | number }
  | { readonly kind: 'forwardGradient'; readonly options: ForwardGradientSettings }
  | { readonly kind: 'spsa'; readonly options: Readonly<Required<SpsaOptions>> } {
  if (typeof value === 'object' && value !== null && Object.hasOwn(value, 'kind')) {
    const { kind, checkpoint, options } = value as { kind: unknown; checkpoint?: boolean; options?: unknown };
    if (kind === 'backprop') {
      return backprop(checkpoint === undefined ? {} : { checkpoint }) as {
        kind: 'backprop';
        checkpoint: boolean | number;
      };
    }
    if (kind === 'forwardGradient')
      return Object.freeze({ kind, options: readForwardGradient(`${where} ${name}`, options) });
    if (kind === 'spsa') return Object.freeze({ kind, options: readSpsa(`${where} ${name}`, options) });
  }
  const expected = `${name} to be made by backprop, forwardGradient or spsa`;
  throw new PushforwardError('INVALID_ARGUMENT', where, expected, describe(value));
}

/**
 * The error of a step that changed nothing because a number was not finite.
 * @internal
 */
export function notFinite(
  where: string,
  estimator: ReturnType<typeof toGradientEstimator>,
  step: number,
): PushforwardError {
  const projects = estimator.kind === 'forwardGradient' && estimator.options.combine === 'projection';
  const expected = projects
    ? "a finite loss, finite directional derivatives and independent directions (combine: 'projection')"
    : 'a finite loss and finite directional derivatives';
  const received = `${projects ? 'one that is not, or directions that are not,' : 'one that is not'} at step ${step}`;
  return new PushforwardError('NUMERIC', where, expected, `${received}; that step changed nothing`);
}
