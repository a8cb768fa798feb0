// Every op of `ops` on tensors of Scalars, by its definition and nothing cleverer.
import { type Approx, exact, rounded } from './approx.ts';
import { average, convolution, pool } from './conv.ts';
import { rows } from './rows.ts';
import type { Scalar, Tape } from './tape.ts';

/** A tensor of scalars. */
export interface Grid {
  readonly shape: readonly number[];
  readonly data: readonly Scalar[];
}

/** Attributes as ops take them, the positional ones of reshape, transpose, slice and broadcast by name too. */
export type Attributes = Readonly<Record<string, unknown>>;

const size = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

function stridesOf(shape: readonly number[]): number[] {
  const strides: number[] = new Array(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
}

/** Every index of a shape, in row-major order. */
function* indices(shape: readonly number[]): Generator<number[]> {
  const index = new Array<number>(shape.length).fill(0);
  for (let n = size(shape); n > 0; n--) {
    yield index;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
}

function build(shape: readonly number[], f: (index: readonly number[]) => Scalar): Grid {
  const data: Scalar[] = [];
  for (const index of indices(shape)) data.push(f(index));
  return { shape: [...shape], data };
}

/** The element at an index of a larger shape that the grid broadcasts to. */
function at({ shape, data }: Grid, index: readonly number[]): Scalar {
  const offset = index.length - shape.length;
  const strides = stridesOf(shape);
  let place = 0;
  for (let axis = 0; axis < shape.length; axis++)
    if (shape[axis] !== 1) place += index[axis + offset]! * strides[axis]!;
  return data[place]!;
}

export function broadcastShape(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = shapes.map((shape) => shape[axis - rank + shape.length] ?? 1);
    return sizes.find((n) => n !== 1) ?? 1;
  });
}

const elementwise = (tape: Tape, name: string, inputs: readonly Grid[]): Grid =>
  build(broadcastShape(inputs.map(({ shape }) => shape)), (index) =>
    tape.row(
      name,
      inputs.map((input) => at(input, index)),
    ),
  );

const scalar = (tape: Tape, value: number): Grid => ({ shape: [], data: [tape.constant(rounded(value))] });

function matmul(tape: Tape, a: Grid, b: Grid, { transposeA, transposeB }: Attributes): Grid {
  const swap = (grid: Grid): Grid =>
    transpose(
      grid,
      [...grid.shape.keys()].map((i, _, all) => (i < all.length - 2 ? i : 2 * all.length - 3 - i)),
    );
  const [left, right] = [transposeA ? swap(a) : a, transposeB ? swap(b) : b];
  const [m, k] = left.shape.slice(-2) as [number, number];
  const n = right.shape.at(-1)!;
  const batch = broadcastShape([left.shape.slice(0, -2), right.shape.slice(0, -2)]);
  return build([...batch, m, n], (index) => {
    const [outer, i, j] = [index.slice(0, -2), index.at(-2)!, index.at(-1)!];
    const terms = Array.from({ length: k }, (_, p) => p);
    return tape.product(
      terms.map((p) => at(left, [...outer, i, p])),
      terms.map((p) => at(right, [...outer, p, j])),
    );
  });
}

function dense(tape: Tape, [x, w, bias]: readonly Grid[], { activation = 'none' }: Attributes): Grid {
  const [inner, outer] = w!.shape as [number, number];
  const z = build([...x!.shape.slice(0, -1), outer], (index) => {
    const terms = Array.from({ length: inner }, (_, p) => p);
    return tape.product(
      terms.map((p) => at(x!, [...index.slice(0, -1), p])),
      terms.map((p) => w!.data[p * outer + index.at(-1)!]!),
      bias?.data[index.at(-1)!],
    );
  });
  return activated(tape, z, activation);
}

function activated(tape: Tape, z: Grid, activation: unknown = 'none'): Grid {
  if (activation === 'none') return z;
  if (activation === 'leakyRelu') return elementwise(tape, 'leakyRelu', [z, scalar(tape, 0.01)]);
  if (activation === 'elu') return elementwise(tape, 'elu', [z, scalar(tape, 1)]);
  return elementwise(tape, activation === 'gelu' ? 'geluTanh' : (activation as string), [z]);
}

function transpose(x: Grid, permutation: readonly number[] = [...x.shape.keys()].reverse()): Grid {
  const p = permutation.map((axis) => (axis < 0 ? axis + x.shape.length : axis));
  return build(
    p.map((axis) => x.shape[axis]!),
    (index) => {
      const source: number[] = [];
      for (const [i, axis] of p.entries()) source[axis] = index[i]!;
      return at(x, source);
    },
  );
}

/** Groups along axes: f of the elements of each, in the shape without them (or with size 1). */
function reduce(x: Grid, { axis, keepDims }: Attributes, f: (group: Scalar[]) => Scalar): Grid {
  const rank = x.shape.length;
  const axes = new Set(
    (axis === undefined ? [...x.shape.keys()] : [axis].flat().map(Number)).map((a) => (a < 0 ? a + rank : a)),
  );
  const kept = x.shape.map((n, i) => (axes.has(i) ? 1 : n));
  const inside = x.shape.map((n, i) => (axes.has(i) ? n : 1));
  const grid = build(kept, (index) => {
    const group: Scalar[] = [];
    for (const inner of indices(inside))
      group.push(
        at(
          x,
          index.map((i, a) => i + inner[a]!),
        ),
      );
    return f(group);
  });
  return keepDims ? grid : { shape: x.shape.filter((_, i) => !axes.has(i)), data: grid.data };
}

/** x − max x, its exponentials, and their sum: the shift is a constant, whose choice changes nothing. */
function shifted(
  tape: Tape,
  group: readonly Scalar[],
): { shift: Scalar; x: Scalar[]; exponentials: Scalar[]; sum: Scalar } {
  const shift = tape.constant(exact(Math.max(...group.map(({ v }) => v))));
  const x = group.map((each) => tape.row('sub', [each, shift]));
  const exponentials = x.map((each) => tape.row('exp', [each]));
  return { shift, x, exponentials, sum: tape.sum(exponentials) };
}

/** Replaces each element of a group along `axis` by one of f's results. */
function along(x: Grid, axis: number, f: (group: Scalar[]) => Scalar[]): Grid {
  const a = axis < 0 ? axis + x.shape.length : axis;
  const results: Scalar[] = new Array(x.data.length);
  const strides = stridesOf(x.shape);
  for (const index of indices(x.shape.map((n, i) => (i === a ? 1 : n)))) {
    const start = index.reduce((sum, i, other) => sum + i * strides[other]!, 0);
    const places = Array.from({ length: x.shape[a]! }, (_, i) => start + i * strides[a]!);
    for (const [i, result] of f(places.map((place) => x.data[place]!)).entries()) results[places[i]!] = result;
  }
  return { shape: x.shape, data: results };
}

/** (x − mean x) / √(mean (x − mean x)² + ε) along the last axis, without the mean unless `centre`. */
function normalise(tape: Tape, x: Grid, { epsilon = 1e-5 }: Attributes, centre: boolean): Grid {
  return along(x, -1, (group) => {
    const n = tape.constant(exact(group.length));
    const mean = centre ? tape.row('div', [tape.sum(group), n]) : tape.constant(exact(0));
    const d = centre ? group.map((each) => tape.row('sub', [each, mean])) : group;
    const variance = tape.row('div', [tape.sum(d.map((each) => tape.row('square', [each]))), n]);
    const r = tape.row('rsqrt', [tape.row('add', [variance, tape.constant(rounded(epsilon as number))])]);
    return d.map((each) => tape.row('mul', [each, r]));
  });
}

function norm(tape: Tape, [x, scale, shift]: readonly Grid[], attributes: Attributes, centre: boolean): Grid {
  let y = normalise(tape, x!, attributes, centre);
  if (scale !== undefined) y = elementwise(tape, 'mul', [y, scale]);
  return shift === undefined ? y : elementwise(tape, 'add', [y, shift]);
}

/** Row i of softmax(q kᵀ / √d) v, over the keys j ≤ i + m − n alone when causal. */
function attention(tape: Tape, [q, k, v]: readonly Grid[], { causal }: Attributes): Grid {
  const [n, d] = q!.shape.slice(-2) as [number, number];
  const [m, e] = v!.shape.slice(-2) as [number, number];
  const scale = tape.constant(rounded(1 / Math.sqrt(d)));
  const outer = q!.shape.slice(0, -2);
  const features = Array.from({ length: d }, (_, f) => f);
  const data: Scalar[] = [];
  for (const head of indices(outer)) {
    for (let i = 0; i < n; i++) {
      const keys = Array.from({ length: causal ? i + m - n + 1 : m }, (_, j) => j);
      const scores = keys.map((j) => {
        const left = features.map((f) => at(q!, [...head, i, f]));
        const right = features.map((f) => at(k!, [...head, j, f]));
        return tape.row('mul', [tape.sum(left, right), scale]);
      });
      const { exponentials, sum } = shifted(tape, scores);
      const weights = exponentials.map((each) => tape.row('div', [each, sum]));
      for (let c = 0; c < e; c++) {
        const values = keys.map((j) => at(v!, [...head, j, c]));
        data.push(tape.sum(weights, values));
      }
    }
  }
  return { shape: [...outer, n, e], data };
}

type OracleOp = (tape: Tape, inputs: readonly Grid[], attributes: Attributes) => Grid;

const special: Readonly<Record<string, OracleOp>> = {
  leakyRelu: (tape, [x], { slope = 0.01 }) => elementwise(tape, 'leakyRelu', [x!, scalar(tape, slope as number)]),
  elu: (tape, [x], { alpha = 1 }) => elementwise(tape, 'elu', [x!, scalar(tape, alpha as number)]),
  gelu: (tape, [x], { approximate }) => elementwise(tape, approximate === 'tanh' ? 'geluTanh' : 'gelu', [x!]),
  clip: (tape, [x], { min = -Infinity, max = Infinity }) =>
    elementwise(tape, 'clip', [x!, scalar(tape, min as number), scalar(tape, max as number)]),
  matmul: (tape, [a, b], attributes) => matmul(tape, a!, b!, attributes),
  dense,
  conv2d: (tape, inputs, attributes) => activated(tape, convolution(tape, inputs, attributes), attributes.activation),
  maxPool2d: (tape, [x], attributes) => pool(x!, attributes, (group) => tape.max(group)),
  avgPool2d: (tape, [x], attributes) => pool(x!, attributes, (group, n) => average(tape, group, n)),
  sum: (tape, [x], attributes) => reduce(x!, attributes, (group) => tape.sum(group)),
  mean: (tape, [x], attributes) =>
    reduce(x!, attributes, (group) => tape.row('div', [tape.sum(group), tape.constant(exact(group.length))])),
  max: (tape, [x], attributes) => reduce(x!, attributes, (group) => tape.max(group)),
  logSumExp: (tape, [x], attributes) =>
    reduce(x!, attributes, (group) => {
      const { shift, sum } = shifted(tape, group);
      return tape.row('add', [shift, tape.row('log', [sum])]);
    }),
  softmax: (tape, [x], { axis = -1 }) =>
    along(x!, axis as number, (group) => {
      const { exponentials, sum } = shifted(tape, group);
      return exponentials.map((each) => tape.row('div', [each, sum]));
    }),
  logSoftmax: (tape, [x], { axis = -1 }) =>
    along(x!, axis as number, (group) => {
      const { x: differences, sum } = shifted(tape, group);
      const log = tape.row('log', [sum]);
      return differences.map((each) => tape.row('sub', [each, log]));
    }),
  softmaxCrossEntropy: (tape, [x, labels]) => {
    const classes = x!.shape.at(-1)!;
    return build(labels!.shape, (index) => {
      const group = Array.from({ length: classes }, (_, c) => at(x!, [...index, c]));
      const { x: differences, sum } = shifted(tape, group);
      return tape.row('sub', [tape.row('log', [sum]), differences[at(labels!, index).v]!]);
    });
  },
  meanSquaredError: (tape, [x, target]) => {
    const squares = elementwise(tape, 'square', [elementwise(tape, 'sub', [x!, target!])]);
    const flat = { shape: [x!.shape[0]!, size(x!.shape.slice(1))], data: squares.data };
    return special.mean!(tape, [flat], { axis: [1] });
  },
  reshape: (_, [x], { shape }) => {
    const known = (shape as number[]).filter((n) => n !== -1);
    return { shape: (shape as number[]).map((n) => (n === -1 ? x!.data.length / size(known) : n)), data: x!.data };
  },
  flatten: (_, [x]) => ({ shape: [x!.shape[0]!, size(x!.shape.slice(1))], data: x!.data }),
  transpose: (_, [x], { permutation }) => transpose(x!, permutation as number[] | undefined),
  broadcast: (_, [x], { shape }) => build(shape as number[], (index) => at(x!, index)),
  concat: (_, inputs, { axis = 0 }) => {
    const rank = inputs[0]!.shape.length;
    const a = (axis as number) < 0 ? (axis as number) + rank : (axis as number);
    const total = inputs.reduce((sum, { shape }) => sum + shape[a]!, 0);
    return build(
      inputs[0]!.shape.map((n, i) => (i === a ? total : n)),
      (index) => {
        let place = index[a]!;
        let which = 0;
        while (place >= inputs[which]!.shape[a]!) place -= inputs[which++]!.shape[a]!;
        return exactly(
          inputs[which]!,
          index.map((i, other) => (other === a ? place : i)),
        );
      },
    );
  },
  slice: (_, [x], { start, size: box }) =>
    build(box as number[], (index) =>
      exactly(
        x!,
        index.map((i, a) => i + (start as number[])[a]!),
      ),
    ),
  pad: (tape, [x], { before, after, value = 0 }) => {
    const fill = tape.constant(rounded(value as number));
    return build(
      x!.shape.map((n, i) => n + (before as number[])[i]! + (after as number[])[i]!),
      (index) => {
        const source = index.map((i, a) => i - (before as number[])[a]!);
        return source.every((i, a) => i >= 0 && i < x!.shape[a]!) ? exactly(x!, source) : fill;
      },
    );
  },
  layerNorm: (tape, inputs, attributes) => norm(tape, inputs, attributes, true),
  rmsNorm: (tape, inputs, attributes) => norm(tape, inputs, attributes, false),
  gather: (_, [table, indices], { axis = 0 }) => {
    const a = (axis as number) < 0 ? (axis as number) + table!.shape.length : (axis as number);
    const rank = indices!.shape.length;
    return build([...table!.shape.slice(0, a), ...indices!.shape, ...table!.shape.slice(a + 1)], (index) => {
      const row = exactly(indices!, index.slice(a, a + rank)).v;
      return exactly(table!, [...index.slice(0, a), row, ...index.slice(a + rank)]);
    });
  },
  oneHot: (tape, [indices], { classes }) =>
    build([...indices!.shape, classes as number], (index) =>
      tape.constant(exact(exactly(indices!, index.slice(0, -1)).v === index.at(-1) ? 1 : 0)),
    ),
  cumsum: (tape, [x], { axis = -1, reverse = false }) =>
    along(x!, axis as number, (group) =>
      group.map((_, i) => tape.sum(reverse ? group.slice(i) : group.slice(0, i + 1))),
    ),
  argmax: (tape, [x], { axis = -1 }) =>
    reduce(x!, { axis }, (group) => {
      const values = group.map(({ v }) => v);
      return tape.constant(exact(values.indexOf(Math.max(...values))));
    }),
  attention,
  dropout: (_, [x]) => x!, // outside of training
  stopGradient: (tape, [x]) => ({ shape: x!.shape, data: x!.data.map((each) => tape.constant(each as Approx)) }),
};

/** The element at an index of the grid itself. */
function exactly({ shape, data }: Grid, index: readonly number[]): Scalar {
  const strides = stridesOf(shape);
  return data[index.reduce((sum, i, axis) => sum + i * strides[axis]!, 0)]!;
}

/** The op at its inputs; integer inputs are constants of whole numbers. */
export function oracleOp(tape: Tape, name: string, inputs: readonly Grid[], attributes: Attributes = {}): Grid {
  const op = special[name];
  if (op !== undefined) return op(tape, inputs, attributes);
  if (!(name in rows)) throw new Error(`no op '${name}' in test/oracle`);
  return elementwise(tape, name, inputs);
}

/** A tensor of inputs (or constants) with the given errors. */
export function gridOf(
  tape: Tape,
  shape: readonly number[],
  data: ArrayLike<number>,
  as: 'input' | 'constant',
  round: (v: number) => Approx,
): Grid {
  return { shape, data: Array.from(data, (v) => tape[as](round(v))) };
}
