// What ops over rows of their inputs must keep beyond their cases: accuracy far from zero and in long rows, what is no ordinary number,
// indices outside, ties, one result for every number of threads.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { evaluate, grad, jvp, ops, type Tensor, tensor, type Value } from '../src/index.ts';
import { normals, uniforms } from './support/draw.ts';
import { onEverySet, testDevice } from './support/targets.ts';

const epsilon = 2 ** -23;
const float32 = { device: testDevice } as const;
const reference = { device: 'reference' } as const;

onEverySet('layerNorm is right to rounding however far from zero a row lies', async () => {
  for (const [offset, n] of [
    [1e4, 64],
    [-3e5, 1000],
    [7, 20_001],
  ] as const) {
    // Float32 numbers; what is lost of them by rounding is not the op's business.
    const x = Float32Array.from(normals(2 * n, n), (value) => value + offset);
    for (const f of [(v: Value) => ops.layerNorm(v), (v: Value) => ops.rmsNorm(v)]) {
      const y = await evaluate(f, float32)(tensor(x, [2, n]));
      const truth = await evaluate(f, reference)(tensor(Float64Array.from(x), [2, n]));
      const z = normals(2 * n, 3);
      const [, dot] = await jvp(f, [tensor(x, [2, n])], [tensor(z, [2, n])], float32);
      const double = Float64Array.from(x);
      const [, truthDot] = await jvp(f, [tensor(double, [2, n])], [tensor(Float64Array.from(z), [2, n])], reference);
      for (let i = 0; i < 2 * n; i++) {
        assert.ok(Math.abs(y.data[i]! - truth.data[i]!) <= 8 * epsilon * Math.max(1, Math.abs(truth.data[i]!)), `${i}`);
        assert.ok(Math.abs(dot.data[i]! - truthDot.data[i]!) <= 2e-5, `tangent ${i}`);
      }
    }
  }
});

onEverySet('a row of one value is 0, of one element too; NaN and infinities stay in their row', async () => {
  const rows = [
    [3, 3, 3, 3],
    [Number.NaN, 1, 2, 3],
    [1, 2, 3, 4],
    [Number.POSITIVE_INFINITY, 0, 0, 0],
    [0, 0, 0, 0],
  ];
  const x = tensor(rows);
  for (const options of [float32, reference]) {
    const on = options === float32 ? x : tensor(Float64Array.from(rows.flat()), [5, 4]);
    const y = await evaluate((v: Value) => ops.layerNorm(v), options)(on);
    const nan = Array.from(y.data, Number.isNaN);
    assert.equal(
      nan,
      [false, true, false, true, false].flatMap((each) => [each, each, each, each]),
    );
    assert.equal([...y.data.subarray(0, 4)], [0, 0, 0, 0]);
    assert.equal([...y.data.subarray(16)], [0, 0, 0, 0]);
    const one = options === float32 ? tensor([[5]]) : tensor(Float64Array.of(5), [1, 1]);
    assert.is((await evaluate((v: Value) => ops.layerNorm(v), options)(one)).data[0], 0);
  }
});

onEverySet('gather outside the table is NaN, −2³¹ for int32; oneHot outside is zeros', async () => {
  const indices = tensor(Int32Array.of(0, -1, 3, 2, 2 ** 31 - 1, -(2 ** 31)));
  const inside = [true, false, false, true, false, false];
  for (const options of [float32, reference]) {
    const data = [0, 1, 2, 3, 4, 5];
    const table = options === float32 ? tensor(data, [3, 2]) : tensor(Float64Array.from(data), [3, 2]);
    const y = await evaluate((t: Value) => ops.gather(t, indices), options)(table);
    for (const [i, is] of inside.entries()) {
      for (const column of [0, 1])
        assert.ok(Object.is(y.data[2 * i + column], is ? 2 * indices.data[i]! + column : Number.NaN), `${i}`);
    }
    const whole = tensor(Int32Array.from(data), [3, 2]);
    const z = await evaluate((t: Value) => ops.gather(t, indices), options)(whole);
    assert.is(z.dtype, 'int32');
    assert.equal([...z.data], [0, 1, ...new Array(4).fill(-(2 ** 31)), 4, 5, ...new Array(4).fill(-(2 ** 31))]);
    const hot = await evaluate((i: Value) => ops.oneHot(i, { classes: 3 }), options)(indices);
    assert.equal([...hot.data], [1, 0, 0, ...new Array(6).fill(0), 0, 0, 1, ...new Array(6).fill(0)]);
    // Rows that came from nowhere give nothing back.
    const total = (t: Value): Value => ops.gather(t, indices).sum();
    assert.equal([...(await grad(total, options)(table)).data], [1, 1, 0, 0, 1, 1]);
  }
});

onEverySet('argmax takes the first of equals, and the first NaN', async () => {
  const nan = Number.NaN;
  const rows = [
    [1, 3, 3, 2],
    [nan, nan, 9, 9],
    [5, nan, 7, nan],
    [-Infinity, -Infinity, -Infinity, -Infinity],
    [-0, 0, -0, 0],
    [0, 1, 2, Infinity],
  ];
  const expected = [1, 0, 1, 0, 0, 3];
  for (const options of [float32, reference]) {
    const on = (data: number[], shape: number[]): Tensor =>
      options === float32 ? tensor(Float32Array.from(data), shape) : tensor(Float64Array.from(data), shape);
    const y = await evaluate((v: Value) => ops.argmax(v), options)(on(rows.flat(), [6, 4]));
    assert.equal([...y.data], expected);
    assert.is(y.dtype, 'int32');
    const columns = [0, 1, 2, 3].flatMap((i) => rows.map((row) => row[i]!));
    const z = await evaluate((v: Value) => ops.argmax(v, { axis: 0 }), options)(on(columns, [4, 6]));
    assert.equal([...z.data], expected);
  }
  const next = uniforms(5);
  const long = Float32Array.from({ length: 3 * 1001 }, () => Math.floor(next() * 300));
  const y = await evaluate((v: Value) => ops.argmax(v), float32)(tensor(long, [3, 1001]));
  for (let row = 0; row < 3; row++) {
    const line = long.subarray(row * 1001, (row + 1) * 1001);
    assert.is(y.data[row], line.indexOf(Math.max(...line)));
  }
});

onEverySet('cumsum: the last of many is as right as the first', async () => {
  const n = 200_000;
  const x = Float32Array.from(normals(n, 4), (value) => value + 1);
  for (const [shape, axis] of [
    [[1, n], 1],
    [[n / 4, 4], 0],
  ] as const) {
    for (const reverse of [false, true]) {
      const y = await evaluate((v: Value) => ops.cumsum(v, { axis, reverse }), float32)(tensor(x, [...shape]));
      const inner = axis === 1 ? 1 : 4;
      const size = n / inner;
      for (let c = 0; c < inner; c++) {
        let sum = 0;
        for (let k = 0; k < size; k++) {
          const at = (reverse ? size - 1 - k : k) * inner + c;
          sum += x[at]!;
          assert.ok(Math.abs(y.data[at]! - sum) <= epsilon * Math.abs(sum), `${at}`);
        }
      }
    }
  }
});

onEverySet('bits do not depend on the threads, nor on the run, with many picks of a row too', async () => {
  const next = uniforms(9);
  const indices = tensor(Int32Array.from({ length: 3000 }, () => Math.floor(next() ** 3 * 40)));
  const table = tensor(normals(40 * 96, 1), [40, 96]);
  const weights = tensor(normals(3000 * 96, 2), [3000, 96]);
  const x = tensor(normals(512 * 300, 3), [512, 300]);
  const scale = tensor(normals(300, 4));
  const all = (t: Value, v: Value, s: Value): Value =>
    ops
      .gather(t, indices)
      .mul(weights)
      .sum()
      .add(
        ops
          .layerNorm(v, s)
          .mul(ops.cumsum(v, { axis: 0 }))
          .sum(),
      );
  const one = (v: Value[]): Value => all(v[0]!, v[1]!, v[2]!);
  const results = [];
  for (const threads of [1, 2, 3])
    results.push(await grad(one, { ...float32, ...(testDevice === 'cpu' && { threads }) })([table, x, scale] as never));
  for (const result of results.slice(1)) assert.equal(result, results[0]);
});

test.run();
