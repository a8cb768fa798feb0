// What the update of a training step is, as plain data; the updates themselves are native ops of the plan.
import { assertBoolean, assertFinite, assertInteger, describe, PushforwardError, readOptions } from './errors.ts';
import { type Schedule, toSchedule } from './schedules.ts';

/** The rule by which a gradient estimate changes the parameters: frozen plain data, made by {@link sgd}, {@link adam} or {@link adamW}. */
export interface Optimizer {
  /** Which of the functions made it. */
  readonly kind: 'sgd' | 'adam' | 'adamW';
  /** The learning rate of every step. */
  readonly learningRate: Schedule;
}

/**
 * Stochastic gradient descent with every option filled in.
 * @internal
 */
export interface SgdOptimizer extends Optimizer {
  readonly kind: 'sgd';
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly weightDecay: number;
  readonly mergeEvery: number;
}

/**
 * Adam and AdamW with every option filled in; `weightDecay` is 0 for adam.
 * @internal
 */
export interface AdamOptimizer extends Optimizer {
  readonly kind: 'adam' | 'adamW';
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
}

/** What every optimizer takes. */
export interface OptimizerOptions {
  /** A finite number ≥ 0 (constant), or a schedule. Required. */
  learningRate: number | Schedule;
}

/** Options of {@link sgd}. */
export interface SgdOptions extends OptimizerOptions {
  /** The share of the velocity that a step keeps, in [0, 1). Default: 0 */
  momentum?: number;
  /** Looks one step ahead; needs a momentum. Default: false */
  nesterov?: boolean;
  /** Added to the gradient times the parameter (L2), finite, ≥ 0. Default: 0 */
  weightDecay?: number;
  /**
   * An integer from 1 to 16. Above 1, updates of a weight `[in, out]` along one direction of `lowRank({ rank: 1 })` wait as pairs of vectors,
   * x (w + a bᵀ) being x w + (x a) bᵀ, and are added to w, in one pass over it, after steps 1, 2, … times `mergeEvery` and whenever
   * training pauses, so whatever reads parameters finds them whole. That saves time where batches are small and `fit` takes steps on a Dataset,
   * `mergeEvery` or more in one native call; `step` and streams pause after every step. It needs `mergeEvery · (in + out)` numbers of state,
   * and rounds otherwise: sums have another order, and at bf16 what is rounded is w without what waits. Only on `cpu`, for weights that dense layers
   * alone read, `in` a multiple of 16 and `out` of 32; all else is updated at once. Needs momentum 0 and weightDecay 0. Default: 1
   */
  mergeEvery?: number;
}

/** Options of {@link adam}. */
export interface AdamOptions extends OptimizerOptions {
  /** Decay of the first moment, in [0, 1). Default: 0.9 */
  beta1?: number;
  /** Decay of the second moment, in [0, 1). Default: 0.999 */
  beta2?: number;
  /** Added to the root of the second moment, at least 1e-37 (float32 must hold it). Default: 1e-8 */
  epsilon?: number;
}

/** Options of {@link adamW}. */
export interface AdamWOptions extends AdamOptions {
  /** Decoupled decay: the parameter shrinks by learningRate · weightDecay of itself each step. Finite, ≥ 0. Default: 0.01 */
  weightDecay?: number;
}

function readRate(where: string, options: unknown, learningRate: unknown): Schedule {
  if (options === undefined || learningRate === undefined) {
    const expected = 'the option learningRate, a number or a schedule,';
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      where,
      expected,
      options === undefined ? 'undefined' : describe(options),
    );
  }
  return toSchedule(where, 'learningRate', learningRate);
}

/**
 * Stochastic gradient descent. With momentum μ: `v ← μ v + g`, `x ← x − rate · v`; with nesterov `x ← x − rate · (g + μ v)`, both as in
 * PyTorch (Sutskever et al., *On the importance of initialization and momentum in deep learning*, ICML 2013). Weight decay adds
 * `weightDecay · x` to g.
 * @throws PushforwardError INVALID_ARGUMENT for a value out of its range, an unknown option, or nesterov without momentum
 */
export function sgd(options: SgdOptions): Optimizer {
  const known = ['learningRate', 'momentum', 'nesterov', 'weightDecay', 'mergeEvery'] as const;
  const {
    learningRate,
    momentum = 0,
    nesterov = false,
    weightDecay = 0,
    mergeEvery = 1,
  } = readOptions<SgdOptions>('sgd', options, known);
  const rate = readRate('sgd', options, learningRate);
  assertFinite('sgd', 'momentum', momentum, { min: 0, max: 1, below: true });
  assertBoolean('sgd', 'nesterov', nesterov);
  assertFinite('sgd', 'weightDecay', weightDecay, { min: 0 });
  if (nesterov && momentum === 0) {
    throw new PushforwardError('INVALID_ARGUMENT', 'sgd', 'a momentum above 0 with nesterov: true', 'momentum 0');
  }
  assertInteger('sgd', 'mergeEvery', mergeEvery, 1, 16);
  if (mergeEvery > 1 && (momentum > 0 || weightDecay > 0)) {
    const received = `momentum ${momentum}, weightDecay ${weightDecay}`;
    throw new PushforwardError('INVALID_ARGUMENT', 'sgd', 'momentum 0 and weightDecay 0 with mergeEvery', received);
  }
  const optimizer: SgdOptimizer = { kind: 'sgd', learningRate: rate, momentum, nesterov, weightDecay, mergeEvery };
  return Object.freeze(optimizer);
}

function makeAdam(kind: 'adam' | 'adamW', options: unknown, decay: number): Optimizer {
  const known = ['learningRate', 'beta1', 'beta2', 'epsilon', 'weightDecay'] as const;
  const allowed = kind === 'adam' ? known.slice(0, 4) : known;
  const read = readOptions<AdamWOptions>(kind, options, allowed);
  const { learningRate, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = decay } = read;
  const rate = readRate(kind, options, learningRate);
  assertFinite(kind, 'beta1', beta1, { min: 0, max: 1, below: true });
  assertFinite(kind, 'beta2', beta2, { min: 0, max: 1, below: true });
  assertFinite(kind, 'epsilon', epsilon, { min: 1e-37 });
  assertFinite(kind, 'weightDecay', weightDecay, { min: 0 });
  const optimizer: AdamOptimizer = { kind, learningRate: rate, beta1, beta2, epsilon, weightDecay };
  return Object.freeze(optimizer);
}

/**
 * Adam (Kingma and Ba, arXiv 1412.6980, Algorithm 1 with both corrections of bias): `m ← β₁ m + (1 − β₁) g`, `s ← β₂ s + (1 − β₂) g²`,
 * `x ← x − rate · m̂ / (√ŝ + epsilon)`.
 * @throws PushforwardError INVALID_ARGUMENT for a value out of its range or an unknown option
 */
export function adam(options: AdamOptions): Optimizer {
  return makeAdam('adam', options, 0);
}

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101): first `x ← x · (1 − rate · weightDecay)`, then the step of
 * {@link adam}.
 * @throws PushforwardError INVALID_ARGUMENT for a value out of its range or an unknown option
 */
export function adamW(options: AdamWOptions): Optimizer {
  return makeAdam('adamW', options, 0.01);
}

/**
 * An optimizer as its full data: checks what a caller gives, and restores one from a checkpoint's JSON. Throws INVALID_ARGUMENT.
 * @internal
 */
export function toOptimizer(where: string, name: string, value: unknown): SgdOptimizer | AdamOptimizer {
  const fail = () =>
    new PushforwardError('INVALID_ARGUMENT', where, `${name} to be made by sgd, adam or adamW`, describe(value));
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 'kind')) throw fail();
  const { kind, ...options } = value as { kind: unknown; [option: string]: unknown };
  // Made anew: what came from a file, or was put together by hand, passes the same checks.
  if (kind === 'sgd') return sgd(options as unknown as SgdOptions) as SgdOptimizer;
  if (kind === 'adamW') return adamW(options as unknown as AdamWOptions) as AdamOptimizer;
  if (kind !== 'adam') throw fail();
  const { weightDecay: _, ...adamOptions } = options;
  return adam(adamOptions as unknown as AdamOptions) as AdamOptimizer;
}
