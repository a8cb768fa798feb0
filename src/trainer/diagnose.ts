// How good a trainer's gradient estimates are, against the exact gradient of the same batch by reverse mode.

import type { ForwardGradientSettings } from '../estimators/gradient.ts';
import type { NativeArray } from '../native.ts';
import type { KnownEstimator } from './training_program.ts';

/** Estimates ĝ of one parameter's gradient g, or of all together. */
export interface GradientDiagnosis {
  /** Numbers in the parameter. */
  size: number;
  /** ‖g‖ */
  gradientNorm: number;
  /** The mean over the samples of ĝ·g / (‖ĝ‖ ‖g‖): 1 is the gradient's own direction. NaN where a norm is 0. */
  cosine: number;
  /** The mean over the samples of ‖ĝ − g‖² / ‖g‖². */
  relativeVariance: number;
  /** What the closed formula of the estimator gives for it (docs/estimators.md); absent where there is none. */
  predicted?: number;
}

/** What {@link Trainer.diagnose} finds. */
export interface Diagnosis {
  /** Estimates that were drawn. */
  samples: number;
  /** The batch loss. */
  loss: number;
  /** All parameters together. */
  total: GradientDiagnosis;
  /** By name, in order of declaration. */
  parameters: Record<string, GradientDiagnosis>;
}

/** A parameter as the samples found it: g·g, g·ĝ and ĝ·ĝ of each. */
interface Products {
  readonly size: number;
  readonly isVector: boolean;
  readonly exact: ArrayLike<number>;
  readonly cross: ArrayLike<number>;
  readonly estimate: ArrayLike<number>;
}

function mean(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i] as number;
  return total / values.length;
}

/**
 * E‖ĝ_l − g_l‖² of a parameter l of n_l numbers, of a tangent V over all parameters and c = g·V, (1/K) Σ c_k V_k: with independent parts
 * E c²‖V_l‖² = n_l(‖g‖² − ‖g_l‖²) + E (g_l·V_l)²‖V_l‖², and the last term is (n_l + m)‖g_l‖², m = 2 for gaussian, 0 for rademacher,
 * 2(1 − 1/r) for a matrix of rank r. A sphere in all n directions together multiplies the gaussian's by n/(n + 2).
 */
function predictedVariance(
  estimator: KnownEstimator,
  all: readonly Products[],
  part: readonly Products[],
  losses: number,
): number | undefined {
  if (estimator.kind === 'backprop') return 0;
  if (losses > 1) return undefined; // it depends on the gradients of each loss
  const { sampler, directions } = estimator.options;
  const { perturb, perExample, combine, clip, controlVariate }: Partial<ForwardGradientSettings> =
    estimator.kind === 'spsa' ? {} : estimator.options;
  if (perturb === 'activations' || perExample) return undefined; // it depends on the gradients of single examples
  if (clip !== undefined) return undefined; // not linear in the products of c and v
  if (controlVariate !== undefined) return undefined; // it depends on what s has become
  const { kind, rank = 1 } = sampler;
  const norm = (products: readonly Products[]): number => products.reduce((sum, { exact }) => sum + mean(exact), 0);
  const sizes = (products: readonly Products[]): number => products.reduce((sum, { size }) => sum + size, 0);
  if (combine === 'projection') {
    if (kind !== 'gaussian' && kind !== 'sphere') return undefined; // their span has preferred directions
    return projectionVariance(sizes(all), directions, norm(all), sizes(part), norm(part));
  }
  const moment = ({ isVector }: Products): number =>
    kind === 'rademacher' || (kind === 'lowRank' && isVector) ? 0 : kind === 'lowRank' ? 2 * (1 - 1 / rank) : 2;
  const n = sizes(all);
  const shrink = kind === 'sphere' ? n / (n + 2) : 1;
  const second = part.reduce((sum, each) => sum + each.size * norm(all) + moment(each) * mean(each.exact), 0);
  return (shrink * second - norm(part)) / directions;
}

/**
 * E‖ĝ_l − g_l‖² of ĝ = P g, P the projection on K of n dimensions without a preferred direction:
 * E P_ij P_kl = a δ_ij δ_kl + b (δ_ik δ_jl + δ_il δ_jk) with E (tr P)² = K² and E tr P² = K, hence E‖ĝ_l‖² = (a + b) ‖g_l‖² + b n_l ‖g‖².
 * Of all parameters together it is (1 − K/n) ‖g‖².
 */
function projectionVariance(n: number, directions: number, square: number, size: number, part: number): number {
  const share = directions / n;
  const b = (share * (1 - share) * n) / ((n - 1) * (n + 2));
  const a = share * share - (2 * b) / n;
  return (1 - 2 * share + a + b) * part + b * size * square;
}

function diagnosis(
  estimator: KnownEstimator,
  all: readonly Products[],
  part: readonly Products[],
  losses: number,
): GradientDiagnosis {
  const samples = part[0]?.exact.length ?? 0;
  const total = (of: 'exact' | 'cross' | 'estimate', i: number): number =>
    part.reduce((sum, each) => sum + (each[of][i] as number), 0);
  const at = Array.from({ length: samples }, (_, i) => {
    const [exact, cross, estimate] = [total('exact', i), total('cross', i), total('estimate', i)];
    return { exact, cosine: cross / Math.sqrt(exact * estimate), variance: (estimate - 2 * cross + exact) / exact };
  });
  const exact = mean(at.map((sample) => sample.exact));
  const variance = predictedVariance(estimator, all, part, losses);
  return {
    size: part.reduce((sum, { size }) => sum + size, 0),
    gradientNorm: Math.sqrt(exact),
    cosine: mean(at.map(({ cosine }) => cosine)),
    relativeVariance: mean(at.map((sample) => sample.variance)),
    ...(variance === undefined ? {} : { predicted: variance / exact }),
  };
}

/** The diagnosis from the outputs of a run of diagnosisProgram, whose step has `losses`: the batch loss, then g·g, g·ĝ, ĝ·ĝ of each parameter. */
export function diagnosisOf(
  estimator: KnownEstimator,
  declared: readonly { readonly name: string; readonly shape: readonly number[] }[],
  outputs: readonly NativeArray[],
  losses: number,
): Diagnosis {
  const all = declared.map(({ shape }, i) => ({
    size: shape.reduce((product, size) => product * size, 1),
    isVector: shape.length < 2,
    exact: outputs[1 + 3 * i] as NativeArray,
    cross: outputs[2 + 3 * i] as NativeArray,
    estimate: outputs[3 + 3 * i] as NativeArray,
  }));
  const found = outputs[0] as NativeArray;
  return {
    samples: found.length,
    loss: mean(found),
    total: diagnosis(estimator, all, all, losses),
    parameters: Object.fromEntries(
      declared.map(({ name }, i) => [name, diagnosis(estimator, all, all.slice(i, i + 1), losses)]),
    ),
  };
}
