// Laws of random tangents, as plain data; the kernels draw them (DESIGN: random numbers are a public contract).
import { native } from './binding.ts';
import { assertInteger, assertSeed, describe, PushforwardError, readOptions, type Seed } from './errors.ts';
import { translate } from './plan/engine.ts';
import { assertShape, Tensor } from './tensor.ts';

/** Which tangent {@link Sampler.materialise} writes out. */
export interface MaterialiseOptions {
  /** The parameter's shape: at most 8 integers ≥ 1, fewer than 2^31 elements. */
  shape: readonly number[];
  /** The parameter's ordinal, in order of declaration: an integer from 0 to 2^32 − 1. */
  parameter: number;
  /** The training's seed. */
  seed: Seed;
  /** The training step: an integer from 0 to 2^32 − 1. */
  step: number;
  /** The direction, 0 … K − 1 in training: an integer from 0 to 2^24 / rank − 1 (rank 1 where there is none). */
  direction: number;
}

/**
 * The law of a random tangent v with E[v vᵀ] = I, so that (∇f·v) v is an unbiased estimate of ∇f: frozen plain data, made by
 * {@link gaussian}, {@link rademacher}, {@link sphere} or {@link lowRank}.
 */
export interface Sampler {
  /** Which of the functions made it. */
  readonly kind: 'gaussian' | 'rademacher' | 'sphere' | 'lowRank';
  /** Of {@link lowRank}: the number of products a bᵀ. */
  readonly rank?: number;
  /**
   * The tangent of one parameter as the kernels generate it, float32, of the parameter's shape (of {@link sphere}: before its common
   * scale). Bit for bit the same on every float32 device.
   * @throws PushforwardError INVALID_ARGUMENT for an option that is missing, unknown or out of its range, OUT_OF_MEMORY
   */
  materialise(options: MaterialiseOptions): Tensor;
}

/** The largest rank of a low-rank tangent. */
const maxRankOfTangent = 64;
/**
 * The most directions of one step. With ranks up to 64 the counter's 24 bits for k · rank + q hold them all.
 * @internal
 */
export const maxDirections = 1024;

const options = ['shape', 'parameter', 'seed', 'step', 'direction'] as const;

function make(kind: Sampler['kind'], rank?: number): Sampler {
  const where = `${kind}().materialise`;
  const materialise = (given: MaterialiseOptions): Tensor => {
    const { shape, parameter, seed, step, direction } = readOptions<MaterialiseOptions>(where, given, options);
    const sizes = assertShape(where, 'shape', shape, 1);
    assertInteger(where, 'parameter', parameter, 0, 2 ** 32 - 1);
    const [low, high] = assertSeed(where, 'seed', seed);
    assertInteger(where, 'step', step, 0, 2 ** 32 - 1);
    assertInteger(where, 'direction', direction, 0, Math.floor(2 ** 24 / (rank ?? 1)) - 1);
    const law = kind === 'sphere' ? 'gaussian' : kind; // the scale is common to all parameters
    const data = translate(() => native.materialise(law, rank ?? 0, sizes, parameter, low, high, step, direction));
    return Tensor.of(data, sizes);
  };
  const fields = rank === undefined ? { kind } : { kind, rank };
  // Not enumerable, so that the sampler compares, prints and serialises as its fields.
  return Object.freeze(Object.defineProperty(fields, 'materialise', { value: materialise })) as unknown as Sampler;
}

/** Independent standard gaussians, by Box–Muller from Philox4x32-10. */
export function gaussian(): Sampler {
  return make('gaussian');
}

/** Independent signs, +1 or −1 with equal chance: the least variance of all independent laws. */
export function rademacher(): Sampler {
  return make('rademacher');
}

/** Uniform on the sphere of radius √n, n being the number of all parameters together: a gaussian tangent times √(n / Σv²). */
export function sphere(): Sampler {
  return make('sphere');
}

/**
 * For a matrix `V = Σ_q a_q b_qᵀ / √rank` with rademacher factors, a filter seen as [h·w·in, out]; for a vector, plain {@link rademacher}.
 * Rank 1 has the variance of dense signs at two thirds of the products, and is the Trainer's default.
 * @param options `rank`: the number of products, an integer from 1 to 64. Required.
 * @throws PushforwardError INVALID_ARGUMENT
 */
export function lowRank(options: { rank: number }): Sampler {
  const { rank } = readOptions<{ rank: number }>('lowRank', options, ['rank']);
  assertInteger('lowRank', 'rank', rank, 1, maxRankOfTangent);
  return make('lowRank', rank);
}

/**
 * A sampler from what a caller gives or a checkpoint's JSON holds. Throws INVALID_ARGUMENT.
 * @internal
 */
export function toSampler(where: string, name: string, value: unknown): Sampler {
  const kind: unknown =
    typeof value === 'object' && value !== null && Object.hasOwn(value, 'kind') ? (value as Sampler).kind : undefined;
  if (kind === 'gaussian' || kind === 'rademacher' || kind === 'sphere') return make(kind);
  if (kind === 'lowRank') return lowRank({ rank: (value as { rank: number }).rank });
  const expected = `${name} to be made by gaussian, rademacher, sphere or lowRank`;
  throw new PushforwardError('INVALID_ARGUMENT', where, expected, describe(value));
}
