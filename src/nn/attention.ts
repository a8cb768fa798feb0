// Transformers: attention with several heads, the block made of it, and learned positions.
import { assertBoolean, assertInteger, describeShape, PushforwardError, readOptions } from '../errors.ts';
import { type AttentionOptions, attention } from '../ops/attention.ts';
import { dense } from '../ops/product.ts';
import { reshape, slice, transpose } from '../ops/shape.ts';
import type { ParameterTable } from '../trace/graph.ts';
import type { Value } from '../trace/value.ts';
import { layerNorm, type Model } from './layers.ts';
import { declareParameter, parameter, shared, withScope } from './parameter.ts';

/** The sizes of a [B, T, C]. */
function sequenceSizes(where: string, { shape }: Value): [batch: number, length: number, channels: number] {
  const [batch, length, channels] = shape;
  if (shape.length !== 3 || batch === undefined || length === undefined || channels === undefined)
    throw new PushforwardError('SHAPE_MISMATCH', where, 'an input [B, T, C]', describeShape(shape));
  return [batch, length, channels];
}

function readCausal(where: string, causal: unknown = false): boolean {
  assertBoolean(where, 'causal', causal);
  return causal;
}

/** The names of the weights and biases of {@link multiHeadAttention}: query, key, value, output. */
const projections = ['q', 'k', 'v', 'o'] as const;

/**
 * Self-attention: x [B, T, C] → [B, T, C], C a multiple of `heads`. Every head attends with C / heads channels of x wq + bq, x wk + bk and
 * x wv + bv; what the heads give stands side by side and goes through wo, bo. With `causal` a position sees itself and those before it.
 * Parameters: wq, bq, wk, bk, wv, bv, wo, bo, in this order; weights [C, C], biases [C].
 */
export function multiHeadAttention(heads: number, options?: AttentionOptions): Model {
  const where = 'nn.multiHeadAttention';
  assertInteger(where, 'heads', heads, 1, 2 ** 31 - 1);
  const causal = readCausal(where, readOptions<AttentionOptions>(where, options, ['causal']).causal);
  type Held = readonly { readonly w: Value; readonly b: Value }[];
  const cache = new WeakMap<ParameterTable, Held>();
  return (x) => {
    const [batch, length, channels] = sequenceSizes(where, x);
    if (channels % heads !== 0)
      throw new PushforwardError(
        'SHAPE_MISMATCH',
        where,
        `channels that ${heads} heads divide`,
        `${channels} in ${describeShape(x.shape)}`,
      );
    const [query, key, value, output] = shared(
      (): Held =>
        projections.map((name) => ({
          w: declareParameter(`w${name}`, [channels, channels], 'glorotUniform', true),
          b: parameter(`b${name}`, [channels], 'zeros'),
        })),
      cache,
    ) as [Held[0], Held[0], Held[0], Held[0]];
    const split = ({ w, b }: Held[0]): Value =>
      transpose(reshape(dense(x, w, b), [batch, length, heads, channels / heads]), [0, 2, 1, 3]);
    const y = attention(split(query), split(key), split(value), { causal });
    return dense(reshape(transpose(y, [0, 2, 1, 3]), [batch, length, channels]), output.w, output.b);
  };
}

/** Options of {@link transformerBlock}. */
export interface TransformerBlockOptions extends AttentionOptions {
  /** Heads of the attention; they must divide the channels. */
  heads: number;
  /** Units between the two layers of the second half. Default: 4·C */
  hidden?: number;
}

/**
 * A block of a transformer with its normalisations in front (pre-norm): z = x + attention(layerNorm(x)), then z + mlp(layerNorm(z)), mlp(u) =
 * gelu(u w1 + b1) w2 + b2 with gelu in the tanh form. x [B, T, C] → [B, T, C]. Parameters: `norm1.…`, `attention.…` as in
 * {@link multiHeadAttention}, `norm2.…`, `mlp.w1` [C, hidden], `mlp.b1`, `mlp.w2` [hidden, C], `mlp.b2`.
 */
export function transformerBlock(options: TransformerBlockOptions): Model {
  const where = 'nn.transformerBlock';
  const read = readOptions<TransformerBlockOptions>(where, options, ['heads', 'hidden', 'causal']);
  const { heads, hidden } = read;
  assertInteger(where, 'heads', heads, 1, 2 ** 31 - 1);
  if (hidden !== undefined) assertInteger(where, 'hidden', hidden, 1, 2 ** 31 - 1);
  const attend = multiHeadAttention(heads, { causal: readCausal(where, read.causal) });
  const [norm1, norm2] = [layerNorm(), layerNorm()];
  const cache = new WeakMap<ParameterTable, Record<'w1' | 'b1' | 'w2' | 'b2', Value>>();
  const mlp: Model = (u) => {
    const channels = sequenceSizes(where, u)[2];
    const units = hidden ?? 4 * channels;
    const { w1, b1, w2, b2 } = shared(
      () => ({
        w1: declareParameter('w1', [channels, units], 'glorotUniform', true),
        b1: parameter('b1', [units], 'zeros'),
        w2: declareParameter('w2', [units, channels], 'glorotUniform', true),
        b2: parameter('b2', [channels], 'zeros'),
      }),
      cache,
    );
    return dense(dense(u, w1, b1, { activation: 'gelu' }), w2, b2);
  };
  return (x) => {
    sequenceSizes(where, x);
    const normalised = withScope('norm1', () => norm1(x));
    const z = x.add(withScope('attention', () => attend(normalised)));
    const again = withScope('norm2', () => norm2(z));
    return z.add(withScope('mlp', () => mlp(again)));
  };
}

/**
 * x + w[0 … T), one learned vector for each position of a sequence: x [B, T, C] → [B, T, C], T at most `length`. Parameter: w [length, C], from
 * `zeros`.
 */
export function positionalEmbedding(length: number): Model {
  const where = 'nn.positionalEmbedding';
  assertInteger(where, 'length', length, 1, 2 ** 31 - 1);
  const cache = new WeakMap<ParameterTable, Value>();
  return (x) => {
    const [, steps, channels] = sequenceSizes(where, x);
    if (steps > length)
      throw new PushforwardError('SHAPE_MISMATCH', where, `at most ${length} positions`, describeShape(x.shape));
    const w = shared(() => parameter('w', [length, channels], 'zeros'), cache);
    return x.add(steps === length ? w : slice(w, [0, 0], [steps, channels]));
  };
}
