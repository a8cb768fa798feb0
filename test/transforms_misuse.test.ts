// Bad input to the transformations, to ops inside a traced function, and the mistakes of tracing: each a PushforwardError with its code
// and a sentence with both sides. Nothing here may crash, hang or leave the next call in a bad state.
// It is long because it is one table.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  backprop,
  evaluate,
  forwardGrad,
  forwardGradient,
  gaussian,
  grad,
  hvp,
  jacfwd,
  jacrev,
  jvp,
  lowRank,
  minimize,
  nn,
  ops,
  parameter,
  rademacher,
  sgd,
  tensor,
  type Value,
  valueAndGrad,
  vjp,
} from '../src/index.ts';
import { type Misuse, refuses } from './support/refusal.ts';

// biome-ignore lint/suspicious/noExplicitAny: this file is about what the types forbid
type Any = any;
const INVALID = 'INVALID_ARGUMENT';
const SHAPE = 'SHAPE_MISMATCH';
const DTYPE = 'DTYPE_MISMATCH';

const vector = Float32Array.of(1, 2, 3);
const matrix = tensor([
  [1, 2, 3],
  [4, 5, 6],
]);
const integers = tensor(Int32Array.of(1, 2, 3));
const square = (x: Value): Value => x.square().sum();
const identity = (x: Value): Value => x;

/** A tensor or array whose buffer went to another thread. */
function transferred<T extends { buffer: ArrayBufferLike }>(data: T): T {
  structuredClone(null, { transfer: [data.buffer as ArrayBuffer] });
  return data;
}
function transferredTensor(): ReturnType<typeof tensor> {
  const made = tensor(new Float32Array(6), [2, 3]);
  transferred(made.data);
  return made;
}

/** Every transformation as a call of (f, options) on (data). */
const transformations: Record<string, (f: Any, options?: Any, x?: Any) => unknown> = {
  evaluate: (f, options, x = vector) => evaluate(f, options)(x),
  grad: (f, options, x = vector) => grad(f, options)(x),
  valueAndGrad: (f, options, x = vector) => valueAndGrad(f, options)(x),
  jvp: (f, options, x = vector) => jvp(f, [x], [x], options),
  vjp: (f, options, x = vector) => vjp(f, [x], options),
  hvp: (f, options, x = vector) => hvp(f, [x], [x], options),
  jacfwd: (f, options, x = vector) => jacfwd(f, options)(x),
  jacrev: (f, options, x = vector) => jacrev(f, options)(x),
  forwardGrad: (f, options, x = vector) => forwardGrad(f, options)(x),
  minimize: (f, options, x = vector) =>
    minimize(f, x, { steps: 1, gradient: backprop(), optimizer: sgd({ learningRate: 0.1 }), ...options }),
};

const misuses: Record<string, Misuse[]> = {};
function add(group: string, ...items: Misuse[]): void {
  const known = misuses[group] ?? [];
  misuses[group] = known;
  known.push(...items);
}

for (const [name, call] of Object.entries(transformations)) {
  // ---- options, the same everywhere
  for (const f of [undefined, null, 'x => x', {}, 3, [square]])
    add(name, [() => call(f), INVALID, 'f to be a function']);
  add(
    name,
    [
      () => call(square, { device: 'gpu' }),
      INVALID,
      "device to be 'auto', 'cpu', 'cuda', 'cuda:n' or 'reference' but received \"gpu\"",
    ],
    [() => call(square, { device: 3 }), INVALID, 'received 3'],
    [() => call(square, { device: 'cuda' }), 'NO_DEVICE', "'cuda'"],
    [() => call(square, { device: 'cuda:1' }), 'NO_DEVICE', "'cuda:1'"],
    [() => call(square, { device: 'cuda:-1' }), INVALID, 'cuda:-1'],
    [() => call(square, { precision: 'f16' }), INVALID, "precision to be 'f32'"],
    [() => call(square, { precision: 'f64', device: 'cpu' }), INVALID, "precision 'f32' or 'bf16' on device 'cpu'"],
    [
      () => call(square, { precision: 'f32', device: 'reference' }),
      INVALID,
      "precision 'f64' or 'bf16' on device 'reference'",
    ],
    [() => call(square, { precision: 'tf32' }), INVALID, "precision 'f32' or 'bf16' on device 'cpu'"],
    [() => call(square, { precision: 'tf32', device: 'reference' }), INVALID, "but received 'tf32'"],
    [() => call(square, { threads: 0 }), INVALID, 'threads to be an integer from 1'],
    [() => call(square, { threads: 1.5 }), INVALID, '1.5'],
    [() => call(square, { threads: '2' }), INVALID, '"2"'],
    [() => call(square, { fuse: 1 }), INVALID, 'fuse to be true or false but received 1'],
    [() => call(square, { signal: {} }), INVALID, 'signal to be an AbortSignal'],
    [() => call(square, { signal: AbortSignal.abort() }), 'ABORTED', 'an abort by its signal'],
    [() => call(square, { thread: 2 }), INVALID, 'but received "thread"'],
  );
  if (name !== 'minimize')
    add(name, [() => call(square, 'cpu'), INVALID, 'a plain object of options but received "cpu"']);

  // ---- data
  for (const [bad, part] of [
    ['1', '"1"'],
    [null, 'null'],
    [undefined, 'undefined'],
    [true, 'true'],
    [1n, '1n'],
    [() => 1, 'function'],
    [new Uint8Array(3), 'a Uint8Array of length 3'],
    [new Map(), 'a Map'],
    [Promise.resolve(1), 'a promise'],
    [[1, 'a'], '"a"'],
  ] as const) {
    add(name, [() => call(square, {}, bad === undefined ? [undefined] : bad), INVALID, part]);
  }
  const cyclic: Any = { x: vector };
  cyclic.again = cyclic;
  add(
    name,
    [() => call(square, {}, cyclic), INVALID, 'a cycle'],
    [() => call(square, { device: 'cpu' }, Float64Array.of(1)), DTYPE, "float64 needs device: 'reference'"],
    [() => call(square, {}, transferredTensor()), INVALID, 'its buffer was transferred'],
  );

  // ---- what f returns
  const isScalarOnly = !['evaluate', 'jvp', 'vjp', 'jacfwd', 'jacrev'].includes(name);
  add(
    name,
    [() => call(() => undefined), INVALID, 'a function that returns Values but received undefined'],
    [
      () => call(async (x: Value) => x.sum()),
      INVALID,
      'a synchronous function but received one that returned a promise',
    ],
    [() => call(() => 'x'), INVALID, '"x"'],
    [() => call((x: Value) => ({ x, y: null })), INVALID, 'the result.y'],
    [() => call((x: Value) => [x, undefined]), INVALID, 'the result[1]'],
    [() => call(() => vector), INVALID, 'a Float32Array'],
  );
  if (isScalarOnly) {
    add(
      name,
      [() => call(identity), SHAPE, 'one real scalar (use .mean() or .sum())'],
      [() => call((x: Value) => [x.sum()]), SHAPE, 'a tree of 1 Values'],
      [() => call((x: Value) => x.sum().greater(0)), SHAPE, 'an int32 Value of shape []'],
    );
  }
  if (name !== 'evaluate') {
    const code = name === 'jvp' || name === 'vjp' ? undefined : 'NOT_DIFFERENTIABLE';
    if (code)
      add(name, [() => call((x: Value) => ops.where(x.greater(1), 1, 0).sum(), {}, Int32Array.of(1, 2)), code, 'real']);
  }
  if (['grad', 'valueAndGrad', 'jacfwd', 'jacrev', 'forwardGrad'].includes(name)) {
    add(
      name,
      [() => call(square, { argnums: 1 }), INVALID, 'argnums below the 1 arguments but received 1'],
      [() => call(square, { argnums: -1 }), INVALID, 'argnums to be an integer from 0'],
      [() => call(square, { argnums: [0] }), INVALID, 'argnums'],
    );
  }

  // ---- the mistakes of tracing
  add(
    name,
    [() => call((x: Any) => (x > 0 ? x.sum() : x.mean())), INVALID, 'a condition is ops.where'],
    [() => call((x: Any) => ops.mul(x, +x).sum()), INVALID, 'the number of a float32 Value of shape [3]'],
    [() => call((x: Any) => x.mul(Math.max(x, 1)).sum()), INVALID, 'a number is a result of evaluate'],
    // biome-ignore lint/suspicious/noDoubleEquals: the mistake itself
    [() => call((x: Any) => (x == 1 ? x.sum() : x.mean())), INVALID, 'of a float32 Value'],
    [() => call((x: Any) => x.mul(`${x}`.length).sum()), INVALID, 'the text of a float32 Value'],
    [() => call((x: Any) => x.mul(x.data[0]).sum()), INVALID, 'the property data'],
    [() => call((x: Any) => x.sum().mul(x.sum().item())), INVALID, 'the property item'],
    [() => call((x: Any) => x.mul(x.toArray()[0]).sum()), INVALID, 'the property toArray'],
    [() => call((x: Any) => x.mul(JSON.stringify(x).length).sum()), INVALID, 'the JSON'],
    [() => call((x: Any) => [...x][0]), INVALID, 'the elements of a float32 Value of shape [3]'],
    [() => call((x: Any) => x.add(x[0]).sum()), INVALID, '[add] expected input 1 but received nothing'],
    [() => call((x: Any) => x.add(x.length).sum()), INVALID, 'received nothing'],
    [() => call((x: Any) => x.add([1, 2, 3]).sum()), INVALID, 'received [1, 2, 3]'],
    [() => call((x: Any) => x.add(vector).sum()), INVALID, 'received a Float32Array of length 3'],
    [
      () => call((x: Any) => x.add(tensor(Float64Array.of(1, 2, 3))).sum(), { device: 'cpu' }),
      DTYPE,
      "float64 needs device: 'reference'",
    ],
    [() => call((x: Any) => x.matmul(transferredTensor()).sum()), INVALID, 'its buffer was transferred'],
    [() => call((x: Any) => x.mul(parameter('w', [3])).sum()), INVALID, 'to be called in the model of a Trainer'],
    [() => call((x: Any) => ops.add(x, evaluate(square)(vector) as Any).sum()), INVALID, ''],
  );
  // A Value that outlives its trace.
  add(name, [
    async () => {
      let kept: Value | undefined;
      await call((x: Value) => {
        kept ??= x;
        return x.square().sum();
      });
      await call((x: Value) => x.mul(kept as Value).sum());
    },
    INVALID,
    'kept from a trace that has ended',
  ]);
  add(name, [
    async () => {
      let kept: Value | undefined;
      await call((x: Value) => {
        kept ??= x;
        return x.square().sum();
      });
      await call(square, {}, kept);
    },
    INVALID,
    '',
  ]);
}

// ---- what only some of them take ------------------------------------------------------------------------------------------------

const two = (x: Value, y: Value): Value => x.mul(y).sum();
add(
  'jvp',
  [
    () => jvp(square, vector as Any, [vector]),
    INVALID,
    'primals to be an array, one entry per argument but received a Float32Array',
  ],
  [() => jvp(square, [vector], vector as Any), INVALID, 'tangents to be an array'],
  [() => jvp(square, [vector], [] as Any), SHAPE, '1 tangents, one per argument but received 0'],
  [() => jvp(square, [vector], [Float32Array.of(1, 2)]), SHAPE, '[3]'],
  [() => jvp(square, [matrix], [vector]), SHAPE, '[2, 3]'],
  [() => jvp(square, [vector], [integers]), DTYPE, 'int32'],
  [() => jvp(square, [vector], [{ x: vector }] as Any), INVALID, 'tangents[0]'],
  [
    () => jvp((p: { a: Value }) => square(p.a), [{ a: vector }], [{ b: vector }] as Any),
    INVALID,
    'an object with the keys a',
  ],
  [
    () => jvp((x: Value, i: Value) => x.add(i.greater(1)).sum(), [vector, integers], [vector, integers]),
    DTYPE,
    'int32',
  ],
  [() => jvp(square, [matrix], [transferredTensor()]), INVALID, 'transferred'],
);
add(
  'vjp',
  [() => vjp(square, vector as Any), INVALID, 'primals to be an array'],
  [
    async () => {
      const [, pullback] = await vjp(square, [vector]);
      pullback.dispose();
      pullback.dispose();
      await pullback(1);
    },
    'DISPOSED',
    'a live pullback',
  ],
  [async () => (await vjp(square, [vector]))[1](Float32Array.of(1) as Any), SHAPE, '[]'],
  [async () => (await vjp(identity, [vector]))[1](1 as Any), SHAPE, '[3]'],
  [async () => (await vjp(identity, [vector]))[1](integers), DTYPE, 'int32'],
  [async () => (await vjp(identity, [vector]))[1]('1' as Any), INVALID, '"1"'],
  [async () => (await vjp((x: Value) => ({ y: x }), [vector]))[1](vector as Any), INVALID, 'keys y'],
  [async () => (await vjp(identity, [matrix]))[1](transferredTensor()), INVALID, 'transferred'],
);
add(
  'hvp',
  [() => hvp(square, [vector], [Float32Array.of(1)]), SHAPE, '[3]'],
  [() => hvp(square, [vector], [] as Any), SHAPE, '1 tangents'],
  [() => hvp(square, vector as Any, [vector]), INVALID, 'primals to be an array'],
  [() => hvp(two, [vector, vector], [vector] as Any), SHAPE, '2 tangents'],
);
for (const jacobian of [jacfwd, jacrev]) {
  add(
    jacobian.name,
    [() => jacobian((p: Any) => p.a)({ a: vector } as Any), INVALID, 'argument 0 to be one tensor, not a tree'],
    [() => jacobian(((x: Value) => [x]) as Any)(vector), INVALID, 'a function that returns one real Value'],
    [() => jacobian((x: Value) => x.greater(0))(vector), INVALID, 'a function that returns one real Value'],
    [() => jacobian(identity)(new Float32Array(20_000)), 'OUT_OF_MEMORY', 'at most 16,384 elements'],
  );
}
add(
  'forwardGrad',
  [
    () => forwardGrad(square, { directions: 0 })(vector),
    INVALID,
    'directions to be an integer from 1 to 1024 but received 0',
  ],
  [() => forwardGrad(square, { directions: 1025 })(vector), INVALID, '1025'],
  [() => forwardGrad(square, { sampler: 'gaussian' as Any })(vector), INVALID, 'sampler to be made by'],
  [() => forwardGrad(square, { seed: -1 })(vector), INVALID, 'seed'],
  [() => forwardGrad(square, { seed: 2n ** 64n })(vector), INVALID, 'seed'],
  [() => forwardGrad(square, { firstStep: -1 })(vector), INVALID, 'firstStep'],
  [() => forwardGrad(square, { firstStep: 2 ** 32 })(vector), INVALID, 'firstStep'],
  [() => forwardGrad(square, { perturb: 'activations' })(vector), INVALID, 'a loss without a batch axis'],
  [
    () => forwardGrad(square, { combine: 'projection', directions: 4 })(vector),
    INVALID,
    "[combine] expected at most as many directions as there are parameters (3) with combine: 'projection'",
  ],
  [
    // of two numbers: signs that are equal or opposite in every other step
    async () => {
      const two = { combine: 'projection', directions: 2, sampler: rademacher() } as const;
      const estimate = forwardGrad(square, two);
      for (let i = 0; i < 64; i++) await estimate(Float32Array.of(1, 2));
    },
    'NUMERIC',
    "independent directions with combine: 'projection' but received directions that are not at step",
  ],
  [() => forwardGrad(square, { perExample: true })(vector), INVALID, 'a loss without a batch axis'],
  [
    () => forwardGrad(square, { controlVariate: { momentum: 0.9 } })(vector),
    INVALID,
    'no controlVariate, whose state a Trainer or minimize keeps, but received an object',
  ],
  [() => forwardGrad(square, { clip: -1 })(vector), INVALID, 'clip to be a finite number above 0'],
  [
    async () => {
      const last = forwardGrad(square, { firstStep: 2 ** 32 - 1 });
      await last(vector);
      await last(vector);
    },
    INVALID,
    'firstStep plus the calls before to be an integer from 0 to 2^32 - 1',
  ],
);
const base = { steps: 1, gradient: backprop(), optimizer: sgd({ learningRate: 0.1 }) };
add(
  'minimize',
  [() => minimize(square, vector, undefined as Any), INVALID, 'steps'],
  [() => minimize(square, vector, 5 as Any), INVALID, 'a plain object of options but received 5'],
  [() => minimize(square, vector, { ...base, steps: 0 }), INVALID, 'steps to be an integer from 1'],
  [() => minimize(square, vector, { ...base, steps: 1.5 }), INVALID, '1.5'],
  [() => minimize(square, vector, { ...base, steps: 2 ** 40 }), INVALID, 'steps'],
  [() => minimize(square, vector, { ...base, recordEvery: 0 }), INVALID, 'recordEvery to be an integer from 1'],
  [
    () => minimize(square, vector, { ...base, gradient: 'backprop' as Any }),
    INVALID,
    'gradient to be made by backprop, forwardGradient or spsa',
  ],
  [() => minimize(square, vector, { ...base, optimizer: sgd as Any }), INVALID, 'optimizer to be made by'],
  [() => minimize(square, vector, { ...base, seed: 0.5 }), INVALID, 'seed'],
  [() => minimize(((x: Value, y: Value) => x.add(y).sum()) as Any, vector, base), INVALID, ''],
  [
    () => minimize(((p: Any) => p.x.sum()) as Any, { x: vector, i: integers } as Any, base),
    'NOT_DIFFERENTIABLE',
    'start.i to be real',
  ],
  [
    () => minimize((() => ops.add(1, 2)) as Any, {} as Any, base),
    INVALID,
    'a loss that depends on at least one parameter',
  ],
  [
    () => minimize((x: Value) => x.sum(), new Float32Array(1e5), { ...base, steps: 1e6, recordEvery: 1 }),
    'OUT_OF_MEMORY',
    'more',
  ],
  [() => minimize(square, Float32Array.of(Number.NaN), base), 'NUMERIC', 'at step 0; that step changed nothing'],
);

// ---- ops --------------------------------------------------------------------------------------------------------------------------

/** An op on a vector [3], a matrix [2, 3] and int32 [3], inside a trace. */
const inTrace =
  (f: (x: Any, m: Any, i: Any) => unknown): (() => unknown) =>
  () =>
    evaluate(f as Any)(vector as Any, matrix as Any, integers as Any);
const opMisuses: readonly (readonly [f: (x: Any, m: Any, i: Any) => unknown, code: Misuse[1], part: string])[] = [
  [(x) => x.add(ops.broadcast(x, [2, 3]).transpose()), SHAPE, '[3, 2]'],
  [(x, _m, i) => x.add(i), DTYPE, 'add'],
  [(_x, m) => m.matmul(m), SHAPE, '[2, 3]'],
  [(x) => ops.matmul(x, 3), SHAPE, 'matmul'],
  [(_x, m) => ops.matmul(m, m, { transposeB: 1 as Any }), INVALID, 'transposeB to be true or false'],
  [(_x, m) => ops.matmul(m, m, { transpose: true } as Any), INVALID, 'only the options transposeA, transposeB'],
  [(_x, m, i) => ops.matmul(m, i), DTYPE, 'matmul'],
  [(x, m) => ops.dense(x, m), SHAPE, 'x [..., in] and w [in, out]'],
  [(x, m) => ops.dense(m, m.transpose(), x), SHAPE, 'b [2]'],
  [(_x, m) => ops.dense(m, m.transpose(), { activation: 'swish' as Any }), INVALID, 'swish'],
  [(_x, m) => ops.dense(m, m.transpose(), { activation: 3 as Any }), INVALID, 'activation'],
  [(_x, m) => ops.dense(m, m.transpose(), { bias: false } as Any), INVALID, 'only the options activation'],
  [(_x, m) => (ops.dense as Any)(m), INVALID, ''],
  [(x) => x.sum({ axis: 1 }), INVALID, 'axis'],
  [(x) => x.sum({ axis: -2 }), INVALID, 'axis'],
  [(x) => x.sum({ axis: 9 }), INVALID, 'axis to be an integer from -8 to 7'],
  [(x) => x.sum({ axis: 0.5 }), INVALID, '0.5'],
  [(x) => x.sum({ axis: '0' }), INVALID, '"0"'],
  [(x) => x.sum({ axis: [] }), INVALID, 'at least one axis'],
  [(_x, m) => m.sum({ axis: [0, 0] }), INVALID, ''],
  [(_x, m) => m.sum({ axis: [1, -1] }), INVALID, ''],
  [(x) => x.sum({ keepDims: 'yes' }), INVALID, 'keepDims to be true or false'],
  [(x) => x.sum({ dims: 0 }), INVALID, 'only the options axis, keepDims'],
  [(x) => x.mean(0), INVALID, 'a plain object of options'],
  [(x) => x.max({ axis: 3 }), INVALID, 'max'],
  [(x) => x.logSumExp({ axis: 3 }), INVALID, 'logSumExp'],
  [(x) => x.softmax({ axis: 1 }), INVALID, 'softmax'],
  [(x) => x.sum().softmax(), INVALID, 'softmax'],
  [(x) => x.logSoftmax({ axis: [0] }), INVALID, 'axis'],
  [(_x, _m, i) => i.softmax(), DTYPE, 'softmax'],
  [(_x, _m, i) => i.mean(), DTYPE, 'mean'],
  [(_x, _m, i) => i.exp(), DTYPE, 'exp'],
  [(x, m) => ops.softmaxCrossEntropy(m, x), DTYPE, 'softmaxCrossEntropy'],
  [(_x, m, i) => ops.softmaxCrossEntropy(m, i), SHAPE, 'softmaxCrossEntropy'],
  [(x) => ops.softmaxCrossEntropy(x, 3.5), DTYPE, ''],
  [(x, m) => ops.meanSquaredError(m, x), SHAPE, 'meanSquaredError'],
  [(x, _m, i) => ops.meanSquaredError(x, i), DTYPE, 'meanSquaredError'],
  [(x) => ops.meanSquaredError(x.sum(), 1), SHAPE, 'meanSquaredError'],
  [(x) => x.reshape([2, 2]), SHAPE, '[2, 2]'],
  [(x) => x.reshape([-1, -1]), SHAPE, ''],
  [(x) => x.reshape([-2, 3]), INVALID, 'shape'],
  [(x) => x.reshape(3), INVALID, 'shape to be an array of integers'],
  [(x) => x.reshape([2 ** 31, 2 ** 31]), SHAPE, ''],
  [(x) => x.reshape([2 ** 53, 2 ** 53]), INVALID, ''],
  [(x) => x.reshape([Number.NaN]), INVALID, 'NaN'],
  [(x) => x.reshape([3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]), SHAPE, 'at most 8 axes'],
  [(x) => x.broadcast([2 ** 31, 2 ** 31, 2 ** 31]), SHAPE, ''],
  [(x) => x.broadcast([2 ** 62, 4, 3]), INVALID, ''],
  [(x) => x.broadcast([2]), SHAPE, '[3]'],
  [(_x, m) => m.broadcast([3]), SHAPE, '[2, 3]'],
  [(_x, m) => m.transpose([0, 0]), INVALID, 'transpose'],
  [(_x, m) => m.transpose([0]), INVALID, 'transpose'],
  [(_x, m) => m.transpose([0, 2]), INVALID, 'transpose'],
  [(_x, m) => m.transpose('10'), INVALID, 'permutation'],
  [(x) => ops.concat(x as Any), INVALID, 'an array of Values'],
  [() => ops.concat([]), INVALID, 'concat'],
  [(x, m) => ops.concat([x, m]), SHAPE, 'concat'],
  [(x, _m, i) => ops.concat([x, i]), DTYPE, 'concat'],
  [(x) => ops.concat([x, x], { axis: 1 }), INVALID, 'concat'],
  [(x) => ops.concat([x, undefined] as Any), INVALID, 'concat'],
  [(x) => x.slice([0], [4]), INVALID, 'slice'],
  [(x) => x.slice([3], [1]), INVALID, 'slice'],
  [(x) => x.slice([-1], [1]), INVALID, 'start'],
  [(x) => x.slice([0, 0], [1, 1]), INVALID, 'slice'],
  [(x) => x.slice([2 ** 53 - 1], [2 ** 53 - 1]), INVALID, 'slice'],
  [(x) => x.slice(0, 1), INVALID, 'start to be an array'],
  [(x) => x.pad({ before: [1] } as Any), INVALID, 'after'],
  [(x) => x.pad({ before: [1, 1], after: [1, 1] }), INVALID, 'pad'],
  [(x) => x.pad({ before: [-1], after: [1] }), INVALID, 'before'],
  [(x) => x.pad({ before: [2 ** 53 - 1], after: [2 ** 53 - 1] }), INVALID, 'pad'],
  [(x) => x.pad({ before: [1], after: [1], value: '0' } as Any), INVALID, 'value'],
  [(x) => ops.where(x, x, x), DTYPE, 'where'],
  [(x, m, i) => ops.where(i, x, m.transpose()), SHAPE, 'where'],
  [(x, _m, i) => ops.where(i, x, i), DTYPE, 'where'],
  [(x) => (ops.where as Any)(x.greater(0), x), INVALID, 'where'],
  [(x) => x.clip({ min: 2, max: 1 }), INVALID, 'numbers min ≤ max but received 2 and 1'],
  [(x) => x.clip({ min: Number.NaN }), INVALID, 'NaN'],
  [(x) => x.clip({ min: '0' }), INVALID, '"0"'],
  [(x) => x.leakyRelu({ slope: Number.POSITIVE_INFINITY }), INVALID, 'slope to be a finite number'],
  [(x) => x.elu({ alpha: 'a' }), INVALID, 'alpha'],
  [(x) => x.gelu({ approximate: true }), INVALID, 'approximate'],
  [(x) => x.less(), INVALID, 'input 1 but received nothing'],
  [() => (ops.add as Any)(), INVALID, 'received nothing'],
  [() => (ops.exp as Any)(), INVALID, 'received nothing'],
  [() => (ops.exp as Any)('1'), INVALID, '"1"'],
  [() => (ops.exp as Any)(1n), INVALID, '1n'],
  [() => ops.random([-1]), SHAPE, 'sizes of at least 0'],
  [() => ops.random('3' as Any), INVALID, ''],
  [() => ops.random([2 ** 31]), SHAPE, ''],
  [() => ops.random([2 ** 20, 2 ** 20, 2 ** 20, 2 ** 20]), SHAPE, ''],
  [() => ops.random([3], { stream: 0 }), INVALID, 'stream to be an integer from 16 to 31'],
  [() => ops.random([3], { distribution: 'cauchy' as Any }), INVALID, "'uniform', 'gaussian' or 'rademacher'"],
  [() => ops.random([3], { parameter: -1 }), INVALID, 'parameter'],
  [(x) => ops.stopGradient([x] as Any), INVALID, 'stopGradient'],
  [(x) => nn.dense(0)(x), INVALID, 'units to be an integer from 1'],
  [(x) => nn.dense(3)(x.sum()), SHAPE, 'an input [B, in]'],
  [(x) => nn.dense(3, { activation: 'none', units: 4 } as Any)(x), INVALID, 'only the options'],
  [() => nn.sequential(), INVALID, 'at least one layer'],
  [() => nn.sequential(3 as Any), INVALID, 'layer 0 to be a function'],
  [() => nn.residual({} as Any), INVALID, 'f to be a function'],
];
for (const [f, code, part] of opMisuses) add('ops', [inTrace(f), code, part]);

// Outside of a trace, every op says so.
for (const [name, op] of Object.entries(ops)) {
  add('ops', [() => (op as Any)(name === 'concat' ? [1, 2] : name === 'random' ? [2] : 1, 1, 1), INVALID, '']);
}
add(
  'ops',
  [
    () => ops.add(1, 2),
    INVALID,
    'to be called inside a traced function (give the function to evaluate, jvp, grad, minimize or a Trainer)',
  ],
  [() => ops.exp(tensor(1)), INVALID, 'a call outside of one'],
  [() => parameter('w', [3]), INVALID, 'inside a traced function'],
  [() => nn.dense(3)({ shape: [1, 2] } as Any), INVALID, ''],
);

for (const [group, items] of Object.entries(misuses)) {
  test(`refused by ${group}: ${items.length} misuses`, async () => {
    const wrong: string[] = [];
    for (const [i, misuse] of items.entries()) {
      try {
        await refuses(misuse);
      } catch (error) {
        const cause = (error as Error).cause;
        wrong.push(
          `${i} '${misuse[2]}' ${misuse[1]}: ${(error as Error).message}${cause ? ` / ${cause}` : ''}   ${misuse[0].toString().slice(0, 120)}`,
        );
      }
    }
    assert.is(wrong.length, 0, `\n${wrong.join('\n')}`);
  });
}

// ---- after a mistake, everything still works -------------------------------------------------------------------------------------

test('what f itself throws comes out as it is, and the next trace is not disturbed', async () => {
  class Mine extends Error {}
  for (const [name, call] of Object.entries(transformations)) {
    const failing = (x: Value): Value => {
      x.add(1);
      throw new Mine('mine');
    };
    let caught: unknown;
    try {
      await call(failing);
    } catch (error) {
      caught = error;
    }
    assert.instance(caught, Mine, name);
    assert.is((await evaluate(square)(vector)).item(), 14);
    await refuses([() => ops.add(1, 2), INVALID, 'a call outside of one']);
  }
});

test('too much memory is OUT_OF_MEMORY, and calls after it go through', async () => {
  const huge = (x: Value): Value => {
    const parts = Array.from({ length: 256 }, (_, i) => ops.random([2 ** 30], { parameter: i }).add(x.sum())); // 1 TB
    return parts.reduce((a, b) => a.add(b)).sum();
  };
  for (let again = 0; again < 2; again++) {
    await refuses([() => evaluate(huge)(vector), 'OUT_OF_MEMORY', 'bytes']);
    assert.is((await evaluate(square)(vector)).item(), 14);
    assert.is(
      (await evaluate(huge, { device: 'reference' })(vector).catch(
        (error: Error & { code: string }) => error.code,
      )) as unknown,
      'OUT_OF_MEMORY',
    );
    assert.is((await evaluate(square, { device: 'reference' })(vector)).item(), 14);
  }
});

test('a failing call does not hold up those behind it', async () => {
  const good = evaluate(square);
  const calls = Array.from({ length: 20 }, (_, i) =>
    i % 2
      ? good(vector).then((y) => y.item())
      : evaluate(square, { signal: AbortSignal.abort() })(vector).catch((error: { code: string }) => error.code),
  );
  assert.equal(
    await Promise.all(calls),
    Array.from({ length: 20 }, (_, i) => (i % 2 ? 14 : 'ABORTED')),
  );
});

test('forward gradients of a tree with a bad leaf name it', async () => {
  const f = (p: Any): Value => square(p.a).add(square(p.b[0]));
  await refuses([() => forwardGrad(f, { sampler: gaussian() })({ a: vector, b: ['x'] } as Any), INVALID, '.b[0]']);
  await refuses([
    () =>
      minimize(f, { a: vector, b: [null] } as Any, {
        ...base,
        gradient: forwardGradient({ sampler: lowRank({ rank: 2 }) }),
      }),
    INVALID,
    'start.b[0]',
  ]);
});

test.run();
