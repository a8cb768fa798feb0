// Products: matmul and the dense layer. The formulas stand in native/ops/matmul.cpp and native/ops/dense.cpp.
import { assertBoolean, isPlainObject, PushforwardError, readOptions } from '../errors.ts';
import { emit } from '../trace/graph.ts';
import type { Operand, Value } from '../trace/value.ts';

/** Activations of an epilogue: `gelu` is the tanh form. */
export type Activation =
  | 'none'
  | 'relu'
  | 'tanh'
  | 'sigmoid'
  | 'gelu'
  | 'silu'
  | 'softplus'
  | 'leakyRelu'
  | 'elu'
  | 'exp'
  | 'sin'
  | 'square';

/** Options of {@link matmul}: whether the last two axes of an operand are swapped first. Defaults: false */
export interface MatmulOptions {
  /** a is given as [..., k, m] */
  transposeA?: boolean;
  /** b is given as [..., n, k] */
  transposeB?: boolean;
}

/** a [..., m, k] · b [..., k, n] → [..., m, n]; the axes before the last two broadcast. */
export function matmul(a: Operand, b: Operand, options?: MatmulOptions): Value {
  const { transposeA = false, transposeB = false } = readOptions<MatmulOptions>('matmul', options, [
    'transposeA',
    'transposeB',
  ]);
  assertBoolean('matmul', 'transposeA', transposeA);
  assertBoolean('matmul', 'transposeB', transposeB);
  return emit('matmul', [a, b], { transposeA, transposeB });
}

/** Options of {@link dense}. */
export interface DenseOptions {
  /** Default: 'none' */
  activation?: Activation;
}

/** act(x w + b): x [..., in], w [in, out], b [out] → [..., out]. The bias may be left out. */
export function dense(x: Operand, w: Operand, b?: Operand | DenseOptions, options?: DenseOptions): Value {
  const biasLeftOut = options === undefined && isPlainObject(b);
  const { activation = 'none' } = readOptions<DenseOptions>('dense', biasLeftOut ? b : options, ['activation']);
  if (typeof activation !== 'string') {
    throw new PushforwardError('INVALID_ARGUMENT', 'dense', 'activation to be a name', typeof activation);
  }
  return emit('dense', [x, w, biasLeftOut ? null : (b as Operand | undefined)], { activation });
}
