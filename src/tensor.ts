// Plain host data: a typed array and a shape. Nothing here computes.
import { type InspectOptions, inspect } from 'node:util';
import { allocate, assertInteger, describe, describeAs, describeShape, PushforwardError } from './errors.ts';

/** Element types. `float64` is for the `reference` device; `int32` is for labels and indices and has no tangent. */
export type DType = 'float32' | 'float64' | 'int32';
/** The typed arrays that hold a Tensor's elements, one per {@link DType}. */
export type TypedArray = Float32Array | Float64Array | Int32Array;
/** A number, or arrays of numbers nested to one depth with equal lengths at each: `[[1, 2], [3, 4]]`. */
export type NestedNumbers = number | readonly NestedNumbers[];
/** A leaf of a tree of data: a Tensor, a typed array (rank 1), or a number (a float32 scalar). */
export type Leaf = Tensor | TypedArray | number;

/**
 * The most axes a shape may have.
 * @internal
 */
export const maxRank = 8;
/**
 * The most elements a tensor may have: element numbers are int32 on every device.
 * @internal
 */
export const maxElements: number = 2 ** 31 - 1;

/**
 * Whether a value is one of the three typed arrays that a Tensor may hold.
 * @internal
 */
export function isTypedArray(value: unknown): value is TypedArray {
  return value instanceof Float32Array || value instanceof Float64Array || value instanceof Int32Array;
}

/**
 * The element type of a typed array.
 * @internal
 */
export function dtypeOf(data: TypedArray): DType {
  return data instanceof Float32Array ? 'float32' : data instanceof Float64Array ? 'float64' : 'int32';
}

/**
 * The product of a shape's sizes; 1 for a scalar.
 * @internal
 */
export function sizeOf(shape: readonly number[]): number {
  let size = 1;
  for (const length of shape) size *= length;
  return size;
}

/**
 * Whether two shapes are equal.
 * @internal
 */
export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((length, axis) => length === b[axis]);
}

/**
 * Requires a shape: an array of at most 8 non-negative integers whose product is below 2^31. Gives a frozen copy. Throws
 * INVALID_ARGUMENT.
 * @internal
 */
export function assertShape(where: string, name: string, value: unknown, smallest = 0): readonly number[] {
  const refuse = (expected: string, received: unknown = value) =>
    new PushforwardError('INVALID_ARGUMENT', where, `${name} to be ${expected}`, describe(received));
  if (!Array.isArray(value)) throw refuse('an array of integers');
  if (value.length > maxRank) throw refuse(`an array of at most ${maxRank} sizes`);
  const shape: number[] = [];
  for (let axis = 0; axis < value.length; axis++) {
    const length: unknown = value[axis];
    assertInteger(where, `${name}[${axis}]`, length, smallest, maxElements);
    shape.push(length);
  }
  const size = sizeOf(shape);
  if (size > maxElements) {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      where,
      `${name} to have fewer than 2^31 elements`,
      `${describeShape(shape)}, which has ${size}`,
    );
  }
  return Object.freeze(shape);
}

/**
 * An array whose memory cannot be changed by another thread or shrink later: itself, or a copy when its buffer is shared or resizable.
 * @internal
 */
export function ownMemory<T extends TypedArray | Uint8Array>(data: T): T {
  const buffer = data.buffer as ArrayBufferLike & { readonly resizable?: boolean };
  const fixed = buffer instanceof ArrayBuffer && buffer.resizable !== true;
  return fixed ? data : (data.slice() as T);
}

/** Plain host data: a class, so that it is never mistaken for a tree or for an object of options. Made by {@link tensor}. */
export class Tensor {
  /** Sizes of the axes, outermost first; `[]` is a scalar. Frozen. */
  readonly shape: readonly number[];
  /** The type of the elements. */
  readonly dtype: DType;
  /** The elements, last axis fastest: the array given to {@link tensor} itself, not a copy. */
  readonly data: TypedArray;

  private constructor(data: TypedArray, shape: readonly number[]) {
    this.data = data;
    this.shape = shape;
    this.dtype = dtypeOf(data);
    Object.freeze(this);
  }

  /**
   * A Tensor around data whose shape is known to fit; it checks nothing.
   * @internal
   */
  static of(data: TypedArray, shape: readonly number[]): Tensor {
    return new Tensor(data, Object.isFrozen(shape) ? shape : Object.freeze([...shape]));
  }

  /** The only element, as a number. Throws SHAPE_MISMATCH unless there is exactly one. */
  item(): number {
    const [value] = this.data;
    if (this.data.length === 1 && value !== undefined) return value;
    throw new PushforwardError('SHAPE_MISMATCH', 'Tensor.item', 'a tensor of one element', describe(this));
  }

  /** The elements as nested arrays of the tensor's shape: a number for a scalar, `[]` for an empty axis. A copy. */
  toArray(): NestedNumbers {
    const { data, shape } = this;
    let next = 0;
    const nest = (axis: number): NestedNumbers => {
      if (axis === shape.length) return data[next++] ?? Number.NaN;
      return Array.from({ length: shape[axis] ?? 0 }, () => nest(axis + 1));
    };
    return nest(0);
  }
}

describeAs(Tensor.prototype, (tensor) => {
  return `${tensor.dtype === 'int32' ? 'an' : 'a'} ${tensor.dtype} Tensor of shape ${describeShape(tensor.shape)}`;
});

// `Tensor float32 [2, 3] [[1, 2, 3], [4, 5, 6]]`, with at most six entries of an axis.
function print(this: Tensor, _depth: number, options: InspectOptions): string {
  const { data, dtype, shape } = this;
  const nest = (axis: number, offset: number, stride: number): string => {
    const length = shape[axis];
    if (length === undefined) return inspect(data[offset], options);
    const inner = length > 0 ? stride / length : 0;
    const shown = Array.from({ length: Math.min(length, 6) }, (_, i) => nest(axis + 1, offset + i * inner, inner));
    if (length > 6) shown.push('…');
    return `[${shown.join(', ')}]`;
  };
  // Eight axes of six entries are 1.7 million numbers: past a page the values are left out.
  const entries = shape.reduce((product, length) => product * Math.min(length, 6), 1);
  const values = entries <= 250 ? ` ${nest(0, 0, data.length)}` : '';
  return `Tensor ${dtype} ${describeShape(shape)}${values}`;
}
Object.defineProperty(Tensor.prototype, inspect.custom, { value: print });

function at(path: readonly number[]): string {
  return `data${path.map((i) => `[${i}]`).join('')}`;
}

/** The shape that the first entries of nested arrays have; the rest is checked against it while it is copied. */
function nestedShape(data: unknown): number[] {
  const shape: number[] = [];
  let level = data;
  while (Array.isArray(level)) {
    if (shape.length === maxRank) {
      throw new PushforwardError(
        'INVALID_ARGUMENT',
        'tensor',
        `arrays nested at most ${maxRank} deep`,
        `deeper ones at ${at(shape.map(() => 0))}`,
      );
    }
    shape.push(level.length);
    if (level.length === 0) break;
    level = level[0];
  }
  return shape;
}

function copyNested(data: unknown, shape: readonly number[]): Float32Array {
  const out = allocate('tensor', `${sizeOf(shape)} float32 elements`, () => new Float32Array(sizeOf(shape)));
  const path: number[] = [];
  let next = 0;
  const visit = (level: unknown, axis: number): void => {
    const length = shape[axis];
    if (length === undefined) {
      if (typeof level === 'number') {
        out[next++] = level;
        return;
      }
      const code = Array.isArray(level) ? 'SHAPE_MISMATCH' : 'INVALID_ARGUMENT';
      throw new PushforwardError(code, 'tensor', `${at(path)} to be a number`, describe(level));
    }
    if (!Array.isArray(level) || level.length !== length) {
      const code = Array.isArray(level) || typeof level === 'number' ? 'SHAPE_MISMATCH' : 'INVALID_ARGUMENT';
      const expected = `${at(path)} to be an array of length ${length}, as its neighbours are`;
      throw new PushforwardError(code, 'tensor', expected, describe(level));
    }
    for (let i = 0; i < length; i++) {
      path.push(i);
      visit(level[i], axis + 1);
      path.pop();
    }
  };
  visit(data, 0);
  return out;
}

/**
 * Makes a Tensor.
 *
 * A typed array keeps its element type and is *referred to*, not copied: writing to it later changes the Tensor, and what has been given
 * to a call before is unaffected, since calls copy when they are made. (A view of shared or resizable memory is copied at once.) Nested
 * numbers become float32, rounded to nearest; NaN and infinities are kept.
 *
 * @param data a Float32Array, Float64Array or Int32Array, or nested numbers of equal lengths at each depth
 * @param shape at most 8 non-negative integers with as many elements as the data, fewer than 2^31. Default: `[data.length]` of a typed
 *   array, the nesting of nested numbers. Numbers in one flat array take any shape of the same size.
 * @throws PushforwardError SHAPE_MISMATCH for ragged nesting or a shape of another size, DTYPE_MISMATCH for a typed array of another
 *   type, INVALID_ARGUMENT for anything else that is not numbers, or a shape out of its range
 */
export function tensor(data: TypedArray | NestedNumbers, shape?: readonly number[]): Tensor {
  const wanted = shape === undefined ? undefined : assertShape('tensor', 'shape', shape);
  if (isTypedArray(data)) {
    const own = ownMemory(data);
    const found = wanted ?? assertShape('tensor', 'the shape of data', [own.length]);
    if (sizeOf(found) !== own.length) {
      const expected = `data of ${sizeOf(found)} elements for the shape ${describeShape(found)}`;
      throw new PushforwardError('SHAPE_MISMATCH', 'tensor', expected, describe(data));
    }
    return Tensor.of(own, found);
  }
  if (typeof data !== 'number' && !Array.isArray(data)) {
    throw new PushforwardError(
      ArrayBuffer.isView(data) ? 'DTYPE_MISMATCH' : 'INVALID_ARGUMENT',
      'tensor',
      'data to be a Float32Array, Float64Array, Int32Array or nested numbers',
      describe(data),
    );
  }
  const nested = assertShape('tensor', 'the shape of data', nestedShape(data));
  const fits =
    wanted === undefined || (nested.length <= 1 ? sizeOf(wanted) === sizeOf(nested) : sameShape(wanted, nested));
  if (!fits) {
    const expected = `data of shape ${describeShape(wanted)}, or as many numbers in one flat array`;
    throw new PushforwardError('SHAPE_MISMATCH', 'tensor', expected, `numbers of shape ${describeShape(nested)}`);
  }
  return Tensor.of(copyNested(data, nested), wanted ?? nested);
}

/**
 * Whether a value is a leaf of a tree of data.
 * @internal
 */
export function isLeaf(value: unknown): value is Leaf {
  return typeof value === 'number' || value instanceof Tensor || isTypedArray(value);
}

/**
 * A leaf as a Tensor: a number is a float32 scalar, a typed array has rank 1. It checks that a Tensor's array still has its length, which
 * a transfer to a worker takes away. Throws INVALID_ARGUMENT, or DTYPE_MISMATCH for a typed array of another type.
 * @internal
 */
export function toTensor(where: string, name: string, leaf: unknown): Tensor {
  if (leaf instanceof Tensor) {
    if (leaf.data.length !== sizeOf(leaf.shape)) {
      const expected = `${name} to have the ${sizeOf(leaf.shape)} elements of its shape ${describeShape(leaf.shape)}`;
      throw new PushforwardError(
        'INVALID_ARGUMENT',
        where,
        expected,
        `${leaf.data.length}: its buffer was transferred`,
      );
    }
    return leaf;
  }
  if (typeof leaf === 'number') return Tensor.of(Float32Array.of(leaf), []);
  if (isTypedArray(leaf)) {
    return Tensor.of(ownMemory(leaf), assertShape(where, `the shape of ${name}`, [leaf.length]));
  }
  throw new PushforwardError(
    ArrayBuffer.isView(leaf) ? 'DTYPE_MISMATCH' : 'INVALID_ARGUMENT',
    where,
    `${name} to be a Tensor, a Float32Array, Float64Array or Int32Array, or a number`,
    describe(leaf),
  );
}
