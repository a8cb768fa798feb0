import { inspect } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { describe, PushforwardError, readOptions } from '../src/errors.ts';
import { Tensor, tensor, toTensor } from '../src/tensor.ts';
import {
  countLeaves,
  dataLeaf,
  flatten,
  flattenLike,
  leafPaths,
  type Structure,
  signature,
  unflatten,
} from '../src/tree.ts';
import { type Misuse, refuses } from './support/refusal.ts';

test('nested numbers become float32 of their shape', () => {
  const x = tensor([
    [1, 2, 3],
    [4, 5, 6.1],
  ]);
  assert.equal([...x.shape], [2, 3]);
  assert.is(x.dtype, 'float32');
  assert.is(x.data[5], Math.fround(6.1));
  assert.equal(tensor([1, 2]).toArray(), [1, 2]);
  assert.equal([...tensor(3).shape], []);
  assert.is(tensor(3).toArray(), 3);
  assert.is(tensor([[[7]]]).item(), 7);
  assert.equal(tensor([Number.NaN, -0, Number.POSITIVE_INFINITY]).toArray(), [
    Number.NaN,
    -0,
    Number.POSITIVE_INFINITY,
  ]);
});

test('a typed array keeps its type and is referred to', () => {
  for (const [data, dtype] of [
    [new Float32Array(6), 'float32'],
    [new Float64Array(6), 'float64'],
    [new Int32Array(6), 'int32'],
  ] as const) {
    const x = tensor(data, [2, 3]);
    assert.is(x.dtype, dtype);
    assert.is(x.data, data);
    assert.equal([...tensor(data).shape], [6]);
  }
});

test('shared and resizable memory is copied at once', () => {
  const shared = new Float32Array(new SharedArrayBuffer(8));
  assert.ok(tensor(shared).data.buffer instanceof ArrayBuffer);
  const Resizable = ArrayBuffer as new (length: number, options: { maxByteLength: number }) => ArrayBuffer;
  const buffer = new Resizable(16, { maxByteLength: 16 }) as ArrayBuffer & { resize(length: number): void };
  const x = tensor(new Float32Array(buffer), [4]);
  buffer.resize(0);
  assert.is(x.data.length, 4);
});

test('a transferred buffer is noticed when the tensor is used', () => {
  const x = tensor(new Float32Array(4));
  structuredClone(x.data.buffer, { transfer: [x.data.buffer as ArrayBuffer] });
  return refuses([() => toTensor('predict', 'inputs', x), 'INVALID_ARGUMENT', 'its buffer was transferred']);
});

test('one flat array takes any shape of its size, scalars and empty axes included', () => {
  assert.equal(tensor([1, 2, 3, 4], [2, 2]).toArray(), [
    [1, 2],
    [3, 4],
  ]);
  assert.equal(tensor(5, [1, 1]).toArray(), [[5]]);
  assert.is(tensor([5], []).item(), 5);
  assert.equal(tensor([], [0, 3]).toArray(), []);
  assert.equal(tensor([[], []]).toArray(), [[], []]);
  assert.equal([...tensor([[[1]]], [1, 1, 1]).shape], [1, 1, 1]);
});

test('a tensor cannot change its shape, and a caller cannot change it through the array it gave', () => {
  const shape = [2, 2];
  const x = tensor(new Float32Array(4), shape);
  shape[0] = 4;
  assert.equal([...x.shape], [2, 2]);
  assert.throws(() => (x.shape as number[]).push(1), TypeError);
  assert.throws(() => Object.assign(x, { data: new Float32Array(1) }), TypeError);
});

test('inspect prints the type, the shape and the first values', () => {
  assert.is(
    inspect(
      tensor([
        [1, 2],
        [3, 4],
      ]),
    ),
    'Tensor float32 [2, 2] [[1, 2], [3, 4]]',
  );
  assert.is(inspect(tensor(new Int32Array(9))), 'Tensor int32 [9] [0, 0, 0, 0, 0, 0, …]');
  assert.is(inspect(tensor([], [2, 0])), 'Tensor float32 [2, 0] [[], []]');
  assert.is(inspect(tensor(new Float32Array(7 ** 4), [7, 7, 7, 7])), 'Tensor float32 [7, 7, 7, 7]');
  assert.is(inspect({ x: tensor(1) }), '{ x: Tensor float32 [] 1 }');
});

const deep = (depth: number): unknown => (depth === 0 ? 1 : [deep(depth - 1)]);
const ring: unknown[] = [];
ring.push(ring);
const wrong = (data: unknown, shape?: unknown) => () => tensor(data as never, shape as never);
const misuses: Record<string, Misuse> = {
  'ragged rows': [wrong([[1], [2, 3]]), 'SHAPE_MISMATCH', 'data[1] to be an array of length 1'],
  'a number among arrays': [wrong([[1], 2]), 'SHAPE_MISMATCH', 'data[1] to be an array of length 1'],
  'an array among numbers': [wrong([1, [2]]), 'SHAPE_MISMATCH', 'data[1] to be a number'],
  'a string among numbers': [wrong([[1, '2']]), 'INVALID_ARGUMENT', 'data[0][1] to be a number but received "2"'],
  'a hole': [wrong(new Array(3)), 'INVALID_ARGUMENT', 'data[0] to be a number but received undefined'],
  'null among rows': [wrong([[1], null]), 'INVALID_ARGUMENT', 'data[1]'],
  'a bigint': [wrong([1n]), 'INVALID_ARGUMENT', '1n'],
  nothing: [wrong(undefined), 'INVALID_ARGUMENT', 'received undefined'],
  'a string': [wrong('abc'), 'INVALID_ARGUMENT', '"abc"'],
  'an object': [wrong({ length: 2 }), 'INVALID_ARGUMENT', 'an object with the key length'],
  'a tensor': [wrong(tensor(1)), 'INVALID_ARGUMENT', 'a float32 Tensor of shape []'],
  'a promise': [wrong(Promise.resolve(1)), 'INVALID_ARGUMENT', 'a promise'],
  bytes: [wrong(new Uint8Array(4)), 'DTYPE_MISMATCH', 'a Uint8Array of length 4'],
  'big integers': [wrong(new BigInt64Array(4)), 'DTYPE_MISMATCH', 'a BigInt64Array of length 4'],
  'a DataView': [wrong(new DataView(new ArrayBuffer(4))), 'DTYPE_MISMATCH', 'a DataView'],
  'nine levels': [wrong(deep(9)), 'INVALID_ARGUMENT', 'at most 8 deep'],
  'an array inside itself': [wrong(ring), 'INVALID_ARGUMENT', 'at most 8 deep'],
  'a shape of another size': [wrong(new Float32Array(6), [2, 2]), 'SHAPE_MISMATCH', 'data of 4 elements'],
  'a flat array of another size': [wrong([1, 2, 3], [2, 2]), 'SHAPE_MISMATCH', 'data of shape [2, 2]'],
  'nested numbers of another shape': [wrong([[1, 2]], [2, 1]), 'SHAPE_MISMATCH', 'numbers of shape [1, 2]'],
  'a shape that is a number': [wrong([1], 1), 'INVALID_ARGUMENT', 'shape to be an array of integers but received 1'],
  'a negative size': [wrong([1], [-1]), 'INVALID_ARGUMENT', 'shape[0] to be an integer from 0 to 2^31 - 1'],
  'a broken size': [wrong([1], [1.5]), 'INVALID_ARGUMENT', '1.5'],
  'a size that is no number': [wrong([1], ['1']), 'INVALID_ARGUMENT', '"1"'],
  'a size of NaN': [wrong([1], [Number.NaN]), 'INVALID_ARGUMENT', 'NaN'],
  'a size of 2^31': [wrong([1], [2 ** 31]), 'INVALID_ARGUMENT', '2147483648'],
  'a product of 2^32': [wrong([1], [65536, 65536]), 'INVALID_ARGUMENT', 'fewer than 2^31 elements'],
  'a product beyond 2^53': [wrong([1], Array(8).fill(2 ** 31 - 1)), 'INVALID_ARGUMENT', 'fewer than 2^31 elements'],
  'nine axes': [wrong([1], Array(9).fill(1)), 'INVALID_ARGUMENT', 'at most 8 sizes'],
  'a sparse array of 4 billion': [wrong(new Array(2 ** 32 - 1)), 'INVALID_ARGUMENT', 'from 0 to 2^31 - 1'],
  'item of two': [() => tensor([1, 2]).item(), 'SHAPE_MISMATCH', 'a float32 Tensor of shape [2]'],
  'item of none': [() => tensor([]).item(), 'SHAPE_MISMATCH', 'one element'],
};
for (const [name, misuse] of Object.entries(misuses)) test(`tensor refuses ${name}`, () => refuses(misuse));

test('describe renders anything, short, and never throws', () => {
  const hostile = new Proxy(
    {},
    {
      get: () => {
        throw new Error('get');
      },
      getPrototypeOf: () => {
        throw new Error('prototype');
      },
    },
  );
  class Thing {}
  const samples: [unknown, string][] = [
    [hostile, 'a value that cannot be described'],
    ['x'.repeat(1000), `"${'x'.repeat(60)}…"`],
    [-0, '-0'],
    [10n ** 50n, `1${'0'.repeat(39)}…n`],
    [Symbol('s'), 'a symbol'],
    [[1, 'a', null], '[1, "a", null]'],
    [Array.from({ length: 20 }, (_, i) => i), '[0, 1, 2, 3, 4, 5, …] of length 20'],
    [[[1], [2]], 'an array of length 2'],
    [{}, 'an empty object'],
    [Object.create(null), 'an empty object'],
    [{ a: 1, b: 2 }, 'an object with the keys a, b'],
    [new Thing(), 'a Thing'],
    [new Map(), 'a Map'],
    [new Error('no'), 'the error "no"'],
    [Thing, 'the function Thing'],
    [tensor(new Int32Array(4), [2, 2]), 'an int32 Tensor of shape [2, 2]'],
    [new Float64Array(3), 'a Float64Array of length 3'],
  ];
  for (const [value, words] of samples) assert.is(describe(value), words);
});

test('an error prints its code, and one from the native side keeps its sentence', () => {
  const error = new PushforwardError('BUSY', 'Trainer.step', 'no other step', 'one');
  assert.is(String(error), 'PushforwardError: [Trainer.step] expected no other step but received one');
  assert.ok(inspect(error).includes("code: 'BUSY'"));
  const native = PushforwardError.fromNative('NO_KERNEL', '[dense] expected a kernel but received none');
  assert.is(native.code, 'NO_KERNEL');
  assert.is(native.message, '[dense] expected a kernel but received none');
});

test('options are read from own properties alone', () => {
  const prototype = Object.prototype as { momentum?: number };
  prototype.momentum = 0.5;
  try {
    assert.is(readOptions<{ momentum: number }>('sgd', {}, ['momentum']).momentum, undefined);
  } finally {
    delete prototype.momentum;
  }
  const parsed = JSON.parse('{"__proto__": {"momentum": 1}}');
  return refuses([() => readOptions('sgd', parsed, []), 'INVALID_ARGUMENT', '__proto__']);
});

const take = (tree: unknown) => flatten('jvp', tree, dataLeaf);

test('a tree comes apart and together again', () => {
  const w = tensor([1, 2]);
  const f = new Float64Array(3);
  const tree = { layers: [{ w, b: 0 }, []], 'a b': f, empty: {} };
  const { leaves, structure } = take(tree);
  assert.is(leaves.length, 3);
  assert.is(leaves[0], w);
  assert.is(leaves[2], f);
  assert.is(countLeaves(structure), 3);
  assert.is(signature(structure), '{"layers":[{"w":*,"b":*},[]],"a b":*,"empty":{}}');
  assert.equal(leafPaths(structure), ['$.layers[0].w', '$.layers[0].b', '$["a b"]']);
  assert.equal(unflatten(structure, ['x', 'y', 'z']), { layers: [{ w: 'x', b: 'y' }, []], 'a b': 'z', empty: {} });
  assert.is(signature(take(w).structure), '*');
  assert.is(unflatten(take(w).structure, [7]), 7);
});

test('no key reaches a prototype', () => {
  const { leaves, structure } = take(JSON.parse('{"__proto__": 1, "constructor": 2}'));
  const back = unflatten(structure, leaves) as object;
  assert.is(Object.getPrototypeOf(back), Object.prototype);
  assert.equal(Object.keys(back), ['__proto__', 'constructor']);
});

test('a tree of a given form is read in that form, keys in any order', () => {
  const { structure } = take({ w: 1, b: [2, 3] });
  const read = (tree: unknown) => flattenLike('jvp', structure, 'the primals', tree, dataLeaf, 'tangents');
  assert.equal(read({ b: [5, 6], w: 4 }), [4, 5, 6]);
});

const loop: { inner?: unknown } = {};
loop.inner = [loop];
const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
let doubling: unknown = 1;
for (let i = 0; i < 40; i++) doubling = [doubling, doubling];
const form: Structure = take({ w: 1, b: [2, 3] }).structure;
const like = (tree: unknown) => () => flattenLike('jvp', form, 'the primals', tree, dataLeaf, 'tangents');
const treeMisuses: Record<string, Misuse> = {
  'a string': [() => take({ layers: [{ w: 'x' }] }), 'INVALID_ARGUMENT', '$.layers[0].w to be a Tensor'],
  bytes: [() => take([new Uint8Array(2)]), 'INVALID_ARGUMENT', '$[0]'],
  'a class instance': [() => take({ when: new Date() }), 'INVALID_ARGUMENT', 'a Date'],
  'a Map': [() => take(new Map()), 'INVALID_ARGUMENT', 'a Map'],
  'a function': [() => take({ f: () => 1 }), 'INVALID_ARGUMENT', '$.f'],
  null: [() => take([null]), 'INVALID_ARGUMENT', 'null'],
  'a hole': [() => take([1, ...new Array(1)]), 'INVALID_ARGUMENT', '$[1]'],
  'a symbol as a key': [() => take({ [Symbol('k')]: 1 }), 'INVALID_ARGUMENT', 'a symbol as a key'],
  'a cycle': [() => take(loop), 'INVALID_ARGUMENT', '$.inner[0] to be part of a tree but received a cycle'],
  '65 levels': [() => take(nested(65)), 'INVALID_ARGUMENT', 'at most 64 levels'],
  'a billion shared nodes': [() => take(doubling), 'INVALID_ARGUMENT', 'at most 100000 nodes'],
  'a long array': [() => take(new Array(1e6).fill(1)), 'INVALID_ARGUMENT', 'give numbers as a typed array'],
  'a missing key': [
    like({ w: 1 }),
    'INVALID_ARGUMENT',
    'tangents to be an object with the keys w, b, as in the primals',
  ],
  'another key': [like({ w: 1, c: [1, 2] }), 'INVALID_ARGUMENT', 'an object with the keys w, c'],
  'another length': [like({ w: 1, b: [1] }), 'INVALID_ARGUMENT', 'tangents.b to be an array of length 2'],
  'a leaf for a tree': [like({ w: 1, b: 2 }), 'INVALID_ARGUMENT', 'tangents.b'],
  'a tree for a leaf': [like({ w: [1], b: [1, 2] }), 'INVALID_ARGUMENT', 'tangents.w'],
};
for (const [name, misuse] of Object.entries(treeMisuses)) test(`a tree refuses ${name}`, () => refuses(misuse));

test('64 levels and an object used twice are a tree', () => {
  assert.is(take(nested(64)).leaves.length, 1);
  const shared = { w: tensor(1) };
  assert.is(take([shared, shared]).leaves.length, 2);
});

test('Tensor has no public constructor, and instances are told by class', () => {
  assert.ok(tensor(1) instanceof Tensor);
});

test.run();
