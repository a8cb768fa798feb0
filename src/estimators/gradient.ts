// How a training step estimates its gradient, as plain data: what this version can do, and a plain sentence for what it cannot do yet.
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
  /** How K directions become one estimate. This version: 'mean', (1/K) Σ c_k v_k. Default: 'mean' */
  combine?: 'mean' | 'projection';
  /** A low-rank direction of the weights for every example: for models of dense layers. Default: false */
  perExample?: boolean;
  /** The largest norm of the estimate. Not available in this version. */
  clip?: number;
}

/** How a step estimates the gradient: frozen plain data, made by {@link backprop} or {@link forwardGradient}. */
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
  readonly combine: 'mean';
  readonly perExample: boolean;
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
] as const);

function notYet(where: string, available: string, received: string): PushforwardError {
  return new PushforwardError('INVALID_ARGUMENT', where, `${available}, all that this version has,`, received);
}

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

type Together = Pick<ForwardGradientSettings, 'perturb' | 'sampler' | 'directions' | 'perExample' | 'exactLast'>;

/** Options that exclude each other, a sentence each. */
function assertTogether(where: string, { perturb, sampler, directions, perExample, exactLast }: Together): void {
  const activations = perturb === 'activations';
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
  ];
  for (const [broken, expected, received] of rules)
    if (broken) throw new PushforwardError('INVALID_ARGUMENT', where, expected, received);
}

/**
 * Checks the options of a forward gradient and fills in the defaults. Throws INVALID_ARGUMENT.
 * @internal
 */
export function readForwardGradient(where: string, options: unknown): ForwardGradientSettings {
  const read = readOptions<ForwardGradientOptions>(where, options, forwardGradientOptionNames);
  const { perturb = 'weights', exactLast = false, directions = 1, combine = 'mean', perExample = false, clip } = read;
  assertChoice(where, 'perturb', perturb, ['weights', 'activations']);
  const standard = perturb === 'activations' ? rademacher() : lowRank({ rank: 1 });
  const sampler = read.sampler === undefined ? standard : toSampler(where, 'sampler', read.sampler);
  assertInteger(where, 'directions', directions, 1, maxDirections);
  assertChoice(where, 'combine', combine, ['mean', 'projection']);
  if (combine !== 'mean') throw notYet(where, "combine: 'mean'", describe(combine));
  assertBoolean(where, 'perExample', perExample);
  assertBoolean(where, 'exactLast', exactLast);
  assertTogether(where, { perturb, sampler, directions, perExample, exactLast });
  if (clip !== undefined) {
    assertFinite(where, 'clip', clip, { min: 0, above: true });
    throw notYet(where, 'no clip', describe(clip));
  }
  return Object.freeze({ perturb, sampler, directions, combine, perExample, exactLast });
}

/**
 * Forward gradients: one forward pass gives the loss and its directional derivative c along a random tangent v, and c v estimates the
 * gradient without bias. No backward pass, no tape. Baydin, Pearlmutter, Syme, Wood, Torr, *Gradients without Backpropagation*, arXiv
 * 2202.08587.
 * @throws PushforwardError INVALID_ARGUMENT for an unknown option, a value out of its range, or one that this version does not have yet
 */
export function forwardGradient(options?: ForwardGradientOptions): GradientEstimator {
  return Object.freeze({ kind: 'forwardGradient', options: readForwardGradient('forwardGradient', options) });
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
  | { readonly kind: 'forwardGradient'; readonly options: ForwardGradientSettings } {
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
  }
  const expected = `${name} to be made by backprop or forwardGradient`;
  throw new PushforwardError('INVALID_ARGUMENT', where, expected, describe(value));
}
