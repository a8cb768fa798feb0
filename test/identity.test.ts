// The identity that forward gradients stand on: each c_k of a training step is ⟨∇f, V_k⟩, V_k written out by `materialise` and ∇f from
// the tape on `reference`; and the step moves θ by −η·(1/K) Σ c_k V_k, element by element. A kernel that regenerates another tangent in
// the update than in the product, a tile that skips a column, a wrong row of a panel: each breaks it.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  adam,
  forwardGradient,
  gaussian,
  grad,
  lowRank,
  type Model,
  nn,
  type Optimizer,
  ops,
  rademacher,
  type Sampler,
  sgd,
  sphere,
  type Tensor,
  Trainer,
  tensor,
  type Value,
} from '../src/index.ts';
import { normals, pick, uniforms } from './support/draw.ts';
import { onEverySet, testDevice, thinned } from './support/targets.ts';

const epsilon = 2 ** -23;
const samplers: readonly Sampler[] = [
  gaussian(),
  rademacher(),
  sphere(),
  ...[1, 2, 3].map((rank) => lowRank({ rank })),
];
const nameOf = ({ kind, rank }: Sampler): string => (rank === undefined ? kind : `${kind} ${rank}`);

// ---- networks: values of parameters, a batch, and the gradient by the tape in float64 ------------------------------------------

type Shape = readonly number[];
interface Network {
  readonly name: string;
  readonly model: () => Model;
  readonly loss: (output: Value, target: Value) => Value;
  readonly names: readonly string[];
  readonly values: readonly Tensor[];
  readonly inputs: Tensor;
  readonly targets: Tensor;
  readonly gradient: readonly ArrayLike<number>[];
  readonly norm: number;
}

function squares(rows: readonly ArrayLike<number>[]): number {
  let sum = 0;
  for (const row of rows) for (let i = 0; i < row.length; i++) sum += (row[i] as number) ** 2;
  return sum;
}

async function network(
  name: string,
  widths: readonly number[],
  batch: number,
  seed: number,
  {
    bias = true,
    activation = 'tanh',
    classes = false,
  }: { bias?: boolean; activation?: 'tanh' | 'relu' | 'gelu'; classes?: boolean },
): Promise<Network> {
  const [size = 1, ...units] = widths;
  const last = units.length - 1;
  const names: string[] = [];
  const shapes: Shape[] = [];
  for (const [i, width] of units.entries()) {
    names.push(`${i}.w`);
    shapes.push([widths[i] as number, width]);
    if (!bias) continue;
    names.push(`${i}.b`);
    shapes.push([width]);
  }
  const values = shapes.map((shape, i) => {
    const fanIn = shape.length === 2 ? (shape[0] as number) : 4;
    const count = shape.reduce((product, length) => product * length, 1);
    return tensor(normals(count, 1000 * seed + i, 1 / Math.sqrt(fanIn)), shape);
  });
  const outputs = units[last] as number;
  const next = uniforms(seed);
  const inputs = tensor(normals(batch * size, 1000 * seed + 100), [batch, size]);
  const targets = classes
    ? tensor(Int32Array.from({ length: batch }, () => Math.floor(next() * outputs)))
    : tensor(normals(batch * outputs, 1000 * seed + 101), [batch, outputs]);
  const loss = classes ? ops.softmaxCrossEntropy : ops.meanSquaredError;
  const f = (parameters: readonly Value[], x: Value, t: Value): Value => {
    let y = x;
    let at = 0;
    for (const i of units.keys()) {
      const w = parameters[at++] as Value;
      y = bias ? ops.dense(y, w, parameters[at++] as Value) : ops.dense(y, w);
      if (i < last) y = activation === 'gelu' ? ops.gelu(y, { approximate: 'tanh' }) : ops[activation](y);
    }
    return loss(y, t).mean();
  };
  const gradient = (await grad(f, { device: 'reference' })(values, inputs, targets)) as readonly Tensor[];
  const rows = gradient.map(({ data }) => data);
  const model = (): Model =>
    nn.sequential(...units.map((width, i) => nn.dense(width, { bias, activation: i < last ? activation : 'none' })));
  return { name, model, loss, names, values, inputs, targets, gradient: rows, norm: Math.sqrt(squares(rows)) };
}

// ---- the identity -------------------------------------------------------------------------------------------------------------

/** The K tangents of a step, each a list of one array per parameter. */
function tangents(
  { values }: Network,
  sampler: Sampler,
  directions: number,
  seed: number | bigint,
  step: number,
): Float64Array[][] {
  return Array.from({ length: directions }, (_, direction) => {
    const rows = values.map(({ shape }, parameter) =>
      Float64Array.from(sampler.materialise({ shape, parameter, seed, step, direction }).data),
    );
    if (sampler.kind !== 'sphere') return rows;
    const n = rows.reduce((sum, row) => sum + row.length, 0);
    const scale = Math.sqrt(n / squares(rows));
    return rows.map((row) => row.map((v) => scale * v));
  });
}

interface Case {
  readonly sampler: Sampler;
  readonly directions: number;
  readonly seed: number | bigint;
  readonly threads: number;
  readonly fuse?: boolean;
  readonly optimizer?: (rate: number) => Optimizer;
  /** θ's change for an estimate g; `error` is how far g may be off. Gives the change and how far it may be off. */
  readonly change?: (g: number, error: number, rate: number) => readonly [change: number, error: number];
}

const plain = (g: number, error: number, rate: number): readonly [number, number] => [-rate * g, rate * error];

/** The worst c relative to its bound, for the note below. */
let worst = 0;

async function check(net: Network, item: Case): Promise<void> {
  const {
    sampler,
    directions,
    seed,
    threads,
    fuse = true,
    optimizer = (rate) => sgd({ learningRate: rate }),
    change = plain,
  } = item;
  const what = `${net.name}, ${nameOf(sampler)}, K ${directions}`;
  const rate = 1 / net.norm; // so that the change is as large as θ and rounding of the sum hides nothing
  const trainer = new Trainer({
    model: net.model(),
    inputShape: net.inputs.shape.slice(1),
    loss: net.loss,
    gradient: forwardGradient({ sampler, directions }),
    optimizer: optimizer(rate),
    seed,
    device: testDevice,
    ...(testDevice === 'cpu' && { threads }),
    fuse,
  });
  try {
    await trainer.setParameters(Object.fromEntries(net.names.map((name, i) => [name, net.values[i] as Tensor])));
    const { directionalDerivatives: c = [] } = await trainer.step({ inputs: net.inputs, targets: net.targets });
    const after = await trainer.parameters();
    assert.equal(Object.keys(after), net.names);
    assert.is(c.length, directions);
    const v = tangents(net, sampler, directions, seed, 0);
    for (const [k, rows] of v.entries()) {
      let expected = 0;
      for (const [i, row] of rows.entries()) {
        const g = net.gradient[i] as ArrayLike<number>;
        for (let j = 0; j < row.length; j++) expected += (g[j] as number) * (row[j] as number);
      }
      // c is a sum of about as many roundings as ∇f has elements, of random signs: so it is off by some ε‖∇f‖. One element of a wrong
      // sign in one tangent of a million elements would be off by 10⁻³ ‖∇f‖.
      const error = Math.abs((c[k] as number) - expected) / (32 * epsilon * net.norm);
      worst = Math.max(worst, error);
      assert.ok(
        error <= 1,
        `${what}: c[${k}] is ${c[k]} for ${expected}, ‖∇f‖ = ${net.norm}: ${error} of what is allowed`,
      );
    }
    for (const [i, name] of net.names.entries()) {
      const before = (net.values[i] as Tensor).data;
      const found = (after[name] as Tensor).data;
      for (let j = 0; j < before.length; j++) {
        let g = 0;
        let size = 0;
        for (let k = 0; k < directions; k++) {
          const term = ((c[k] as number) * (v[k]?.[i]?.[j] as number)) / directions;
          g += term;
          // Of a low-rank tangent the terms ±c/√r may cancel; their rounding does not.
          size += Math.max(Math.abs(term), (Math.abs(c[k] as number) * Math.sqrt(sampler.rank ?? 0)) / directions);
        }
        const [delta, error] = change(g, (directions * (sampler.rank ?? 1) + 4) * epsilon * size, rate);
        const theta = before[j] as number;
        const allowed = error + 2 * epsilon * (Math.abs(theta) + Math.abs(delta));
        const off = Math.abs((found[j] as number) - (theta + delta));
        if (!(off <= allowed)) {
          assert.unreachable(
            `${what}: ${name}[${j}] went from ${theta} to ${found[j]} for ${theta + delta}, off by ${off}, allowed ${allowed}`,
          );
        }
      }
    }
  } finally {
    trainer.dispose();
  }
}

// ---- shapes: each size of the list as m, as k and as n -------------------------------------------------------------------------

const sizes = [1, 2, 15, 16, 17, 31, 33, 48, 63, 65, 127, 129, 255, 257, 513, 1025];
const largest = thinned ? 100_000 : 1_000_000; // m·k·n, so that all of it takes 15 s

function shapes(): (readonly [m: number, k: number, n: number])[] {
  const next = uniforms(20220802);
  const list: (readonly [number, number, number])[] = [];
  for (let role = 0; role < 3; role++) {
    for (const size of sizes) {
      let shape: [number, number, number];
      do {
        shape = [pick(sizes, next), pick(sizes, next), pick(sizes, next)];
        shape[role] = size;
      } while (shape[0] * shape[1] * shape[2] > largest);
      list.push(shape);
    }
  }
  return list;
}

const directionCounts = [1, 2, 3, 8];
const seedOf = (i: number): number | bigint =>
  i % 3 === 0 ? 2n ** 64n - 1n - BigInt(i) : i % 3 === 1 ? i : 2 ** 40 + i;
const single: Network[] = [];
const deep: Network[] = [];

test.before(async () => {
  for (const [i, [m, k, n]] of shapes().entries()) {
    single.push(await network(`${m}×${k}×${n}`, [k, n], m, i, { bias: i % 4 !== 3, classes: i % 2 === 1 && n > 1 }));
  }
  const next = uniforms(7);
  for (let i = 0; i < 12; i++) {
    const widths = [pick(sizes, next), pick(sizes.slice(0, 12), next), pick(sizes.slice(1, 8), next)];
    const activation = (['tanh', 'relu', 'gelu'] as const)[i % 3] as 'tanh';
    const batch = pick(sizes.slice(0, 10), next);
    deep.push(
      await network(`${batch}: ${widths.join('-')} ${activation}`, widths, batch, 100 + i, {
        activation,
        classes: i % 2 === 0,
      }),
    );
  }
});

for (const [s, sampler] of samplers.entries()) {
  onEverySet(`${nameOf(sampler)}, one dense layer`, async () => {
    for (const [i, net] of single.entries()) {
      for (const [j, directions] of directionCounts.entries()) {
        if (thinned && (i + s + j) % 4 !== 0) continue;
        await check(net, { sampler, directions, seed: seedOf(i), threads: 1 + ((i + j) % 2) });
      }
    }
  });
}
onEverySet('two layers, every sampler', async () => {
  for (const [i, net] of deep.entries()) {
    for (const [s, sampler] of samplers.entries()) {
      const directions = directionCounts[(i + s) % 4] as number;
      await check(net, { sampler, directions, seed: seedOf(i), threads: 1 + (i % 2) });
    }
  }
});

test('unfused', async () => {
  for (const [s, sampler] of samplers.entries()) {
    await check(deep[s] as Network, { sampler, directions: 3, seed: s, threads: 2, fuse: false });
  }
});

test('momentum, nesterov and adam at step 0', async () => {
  const optimizers: Pick<Case, 'optimizer' | 'change'>[] = [
    { optimizer: (learningRate) => sgd({ learningRate, momentum: 0.9 }) }, // m = g
    {
      optimizer: (learningRate) => sgd({ learningRate, momentum: 0.5, nesterov: true }), // g + μ m
      change: (g, error, rate) => [-1.5 * rate * g, 1.5 * rate * error],
    },
    {
      optimizer: () => adam({ learningRate: 0.125, epsilon: 1e-8 }), // m̂ = g, √v̂ = |g|
      change: (g, error) => {
        const size = Math.abs(g) + 1e-8;
        // a g that cancels to less than its own rounding may go either way
        return [(-0.125 * g) / size, 0.125 * Math.min(2, (2 * error) / size + 16 * epsilon)];
      },
    },
  ];
  for (const [i, optimizer] of optimizers.entries()) {
    for (const [s, sampler] of samplers.entries()) {
      await check(deep[(i + s) % 12] as Network, {
        sampler,
        directions: directionCounts[(i + s) % 4] as number,
        seed: s,
        threads: 2,
        ...optimizer,
      });
    }
  }
});

test('step by step: the tangents of step s are those of `materialise` at step s', async () => {
  for (const sampler of samplers) {
    const net = deep[1] as Network;
    const trainer = new Trainer({
      model: net.model(),
      inputShape: net.inputs.shape.slice(1),
      loss: net.loss,
      gradient: forwardGradient({ sampler, directions: 2 }),
      optimizer: sgd({ learningRate: 1 / net.norm }),
      seed: 5,
      device: testDevice,
    });
    let before = await trainer.parameters();
    for (let step = 0; step < 3; step++) {
      const { directionalDerivatives: c = [] } = await trainer.step({ inputs: net.inputs, targets: net.targets });
      const after = await trainer.parameters();
      const v = tangents(net, sampler, 2, 5, step);
      for (const [i, name] of net.names.entries()) {
        for (let j = 0; j < (before[name] as Tensor).data.length; j++) {
          const [one, two] = [0, 1].map((k) => ((c[k] as number) * (v[k]?.[i]?.[j] as number)) / 2) as [number, number];
          const theta = before[name]?.data[j] as number;
          const expected = theta - (one + two) / net.norm;
          const allowed = 16 * epsilon * (Math.abs(theta) + (Math.abs(one) + Math.abs(two)) / net.norm);
          assert.ok(
            Math.abs((after[name]?.data[j] as number) - expected) <= allowed,
            `${nameOf(sampler)}, step ${step}, ${name}[${j}]`,
          );
        }
      }
      before = after;
    }
    trainer.dispose();
  }
});

test('the bound on c is not idle', () => {
  console.log(`worst c: ${worst.toFixed(3)} of what is allowed`);
  assert.ok(worst > 0);
});

test.run();
