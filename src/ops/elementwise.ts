// Elementwise ops: one row each in native/ops/elementwise_table.h. Shapes broadcast by NumPy's rule.
import { assertChoice, assertFinite, describe, PushforwardError, readOptions } from '../errors.ts';
import { emit } from '../trace/graph.ts';
import type { Operand, Value } from '../trace/value.ts';

type Unary = (x: Operand) => Value;
type Binary = (x: Operand, y: Operand) => Value;

const unary =
  (name: string): Unary =>
  (x) =>
    emit(name, [x]);
const binary =
  (name: string): Binary =>
  (x, y) =>
    emit(name, [x, y]);

/** −x @function */
export const neg: Unary = unary('neg');
/** eˣ @function */
export const exp: Unary = unary('exp');
/** ln x @function */
export const log: Unary = unary('log');
/** √x @function */
export const sqrt: Unary = unary('sqrt');
/** 1/√x @function */
export const rsqrt: Unary = unary('rsqrt');
/** 1/x @function */
export const reciprocal: Unary = unary('reciprocal');
/** x² @function */
export const square: Unary = unary('square');
/** sin x, x in radians @function */
export const sin: Unary = unary('sin');
/** cos x, x in radians @function */
export const cos: Unary = unary('cos');
/** tanh x @function */
export const tanh: Unary = unary('tanh');
/** 1 / (1 + e⁻ˣ) @function */
export const sigmoid: Unary = unary('sigmoid');
/** max(x, 0); relu'(0) = 0 @function */
export const relu: Unary = unary('relu');
/** x · sigmoid(x) @function */
export const silu: Unary = unary('silu');
/** ln(1 + eˣ) @function */
export const softplus: Unary = unary('softplus');
/** 2/√π ∫₀ˣ e^(−t²) dt @function */
export const erf: Unary = unary('erf');
/** |x|; abs'(0) = 0 @function */
export const abs: Unary = unary('abs');

/** x + y @function */
export const add: Binary = binary('add');
/** x − y @function */
export const sub: Binary = binary('sub');
/** x · y @function */
export const mul: Binary = binary('mul');
/** x / y @function */
export const div: Binary = binary('div');
/** xʸ; the derivative with respect to y needs x > 0 @function */
export const pow: Binary = binary('pow');
/** The larger; on a tie the derivative goes to x. NaN if either is. @function */
export const maximum: Binary = binary('maximum');
/** The smaller; on a tie the derivative goes to x. NaN if either is. @function */
export const minimum: Binary = binary('minimum');
/** x < y as int32 0 or 1 @function */
export const less: Binary = binary('less');
/** x ≤ y as int32 0 or 1 @function */
export const lessEqual: Binary = binary('lessEqual');
/** x > y as int32 0 or 1 @function */
export const greater: Binary = binary('greater');
/** x = y as int32 0 or 1 @function */
export const equal: Binary = binary('equal');

/** `condition` ? x : y, elementwise; `condition` is int32, as comparisons give it. @function */
export const where: (condition: Operand, x: Operand, y: Operand) => Value = (condition, x, y) =>
  emit('where', [condition, x, y]);

/** x for x > 0, else slope · x. Default slope: 0.01 */
export function leakyRelu(x: Operand, options?: { slope?: number }): Value {
  const { slope = 0.01 } = readOptions<{ slope?: number }>('leakyRelu', options, ['slope']);
  assertFinite('leakyRelu', 'slope', slope);
  return emit('leakyRelu', [x, slope]);
}

/** x for x > 0, else alpha · (eˣ − 1). Default alpha: 1 */
export function elu(x: Operand, options?: { alpha?: number }): Value {
  const { alpha = 1 } = readOptions<{ alpha?: number }>('elu', options, ['alpha']);
  assertFinite('elu', 'alpha', alpha);
  return emit('elu', [x, alpha]);
}

/**
 * Gaussian error linear unit x Φ(x) (Hendrycks and Gimpel 2016): exactly, or with `approximate: 'tanh'`
 * x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))). Default: 'none'. The activation 'gelu' of dense is the tanh form.
 */
export function gelu(x: Operand, options?: { approximate?: 'none' | 'tanh' }): Value {
  const { approximate = 'none' } = readOptions<{ approximate?: 'none' | 'tanh' }>('gelu', options, ['approximate']);
  assertChoice('gelu', 'approximate', approximate, ['none', 'tanh']);
  return emit(approximate === 'tanh' ? 'geluTanh' : 'gelu', [x]);
}

/** x kept inside [min, max]; the derivative is 1 inside and at the bounds. Defaults: −∞ and ∞ */
export function clip(x: Operand, options: { min?: number; max?: number }): Value {
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = readOptions<{
    min?: number;
    max?: number;
  }>('clip', options, ['min', 'max']);
  if (!(typeof min === 'number' && typeof max === 'number' && min <= max)) {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      'clip',
      'numbers min ≤ max',
      `${describe(min)} and ${describe(max)}`,
    );
  }
  return emit('clip', [x, min, max]);
}
