// Normalisation over the last axis. Formulas in native/ops/norm.cpp.
import { assertFinite, isPlainObject, readOptions } from '../errors.ts';
import { emit } from '../trace/graph.ts';
import type { Operand, Value } from '../trace/value.ts';

/** Options of {@link layerNorm} and {@link rmsNorm}. */
export interface NormOptions {
  /** Added to the variance (rmsNorm: to the mean square). Default: 1e-5 */
  epsilon?: number;
}

/** The options are the first plain object behind x; inputs before it may be left out. */
function emitNorm(name: string, given: readonly (Operand | NormOptions | undefined)[]): Value {
  const at = given.findIndex(isPlainObject);
  const options = at < 0 ? undefined : given[at];
  const { epsilon = 1e-5 } = readOptions<NormOptions>(name, options, ['epsilon']);
  assertFinite(name, 'epsilon', epsilon, { min: 0 });
  const inputs = (at < 0 ? given.slice(0, -1) : given.slice(0, at)) as (Operand | undefined)[];
  return emit(name, inputs, { epsilon });
}

/**
 * (x − μ) / √(σ² + ε) over the last axis, times `scale` [n] plus `shift` [n] where they are given: x [..., n] → [..., n]. σ² is the mean of
 * (x − μ)².
 */
export function layerNorm(
  x: Operand,
  scale?: Operand | NormOptions,
  shift?: Operand | NormOptions,
  options?: NormOptions,
): Value {
  return emitNorm('layerNorm', [x, scale, shift, options]);
}

/** x / √(mean x² + ε) over the last axis, times `scale` [n] where it is given: x [..., n] → [..., n]. */
export function rmsNorm(x: Operand, scale?: Operand | NormOptions, options?: NormOptions): Value {
  return emitNorm('rmsNorm', [x, scale, options]);
}
