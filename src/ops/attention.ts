// Scaled dot-product attention. Formulas in native/ops/attention.cpp.
import { assertBoolean, isPlainObject, readOptions } from '../errors.ts';
import { emit } from '../trace/graph.ts';
import type { Operand, Value } from '../trace/value.ts';

/** Options of {@link attention}. */
export interface AttentionOptions {
  /** Whether query i sees the keys j ≤ i + (m − n) alone: of as many keys as queries, itself and those before it. Default: false */
  causal?: boolean;
}

/**
 * softmax(q kᵀ / √d + mask) v, the softmax over the keys: q [..., n, d], k [..., m, d], v [..., m, e] → [..., n, e], leading axes (batch,
 * heads) the same in all three. Memory grows with n + m, not with n·m.
 *
 * With `causal` query i sees the keys j ≤ i + (m − n): the queries are the last n of m positions (PyTorch's `causal_lower_right`; its
 * `is_causal` is the same for n = m). n may not be larger than m then.
 *
 * `mask` [n, m], which may be left out, is added to every matrix of scores; −Infinity hides a key. It is data: it has no tangent, and
 * NOT_DIFFERENTIABLE says so where it would need one. A query that sees no key at all is NaN.
 */
export function attention(
  q: Operand,
  k: Operand,
  v: Operand,
  mask?: Operand | AttentionOptions,
  options?: AttentionOptions,
): Value {
  const maskLeftOut = options === undefined && isPlainObject(mask);
  const { causal = false } = readOptions<AttentionOptions>('attention', maskLeftOut ? mask : options, ['causal']);
  assertBoolean('attention', 'causal', causal);
  return emit('attention', [q, k, v, maskLeftOut ? null : (mask as Operand | undefined)], { causal });
}
