// Memory by region: what a step needs beyond the parameters does not grow with depth in forward-gradient mode, and grows by a layer's
// residuals a layer under backprop.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  adam,
  backprop,
  Dataset,
  forwardGradient,
  type GradientEstimator,
  gaussian,
  lowRank,
  nn,
  type Optimizer,
  ops,
  rademacher,
  type Sampler,
  sgd,
  sphere,
  Trainer,
  type TrainerOptions,
  tensor,
} from '../src/index.ts';
import { testDevice, thinned } from './support/targets.ts';

type Memory = ReturnType<Trainer['memory']>;
const plainSgd = sgd({ learningRate: 1e-4 });

interface Setting {
  readonly depth: number;
  readonly width: number;
  readonly batch: number;
  readonly gradient: GradientEstimator;
  readonly optimizer?: Optimizer;
  readonly options?: Partial<TrainerOptions>;
}

function trainerOf({ depth, width, gradient, optimizer = plainSgd, options = {} }: Setting): Trainer {
  const layers = Array.from({ length: depth }, () => nn.dense(width, { activation: 'relu' }));
  return new Trainer({
    model: nn.sequential(...layers),
    inputShape: [width],
    loss: ops.meanSquaredError,
    gradient,
    optimizer,
    device: testDevice,
    ...(testDevice === 'cpu' && { threads: 2 }),
    ...options,
  });
}

/** The trainer's memory after a step, and its plans. */
async function afterStep(setting: Setting): Promise<{ memory: Memory; plan: string }> {
  const { width, batch } = setting;
  const trainer = trainerOf(setting);
  const zeros = (): ReturnType<typeof tensor> => tensor(new Float32Array(batch * width), [batch, width]);
  await trainer.step({ inputs: zeros(), targets: zeros() });
  const result = { memory: trainer.memory(), plan: trainer.describe() };
  trainer.dispose();
  return result;
}

const parameterBytes = (depth: number, width: number): number => 4 * depth * (width * width + width);

const samplers: readonly Sampler[] = [gaussian(), rademacher(), lowRank({ rank: 1 }), lowRank({ rank: 3 })];
const nameOf = ({ kind, rank }: Sampler): string => (rank === undefined ? kind : `${kind} ${rank}`);
const [width, batch] = thinned ? [128, 8] : [512, 48];
const activation = 4 * width * batch;
/** A GPU has two slots for a batch, so that one is filled while the other is read, each with 128 bytes of state. */
const batchBytes = (bytes: number): number => (testDevice === 'cuda' ? 2 * (bytes + 128) : bytes);

for (const sampler of samplers) {
  for (const directions of [1, 4]) {
    test(`forward gradients, ${nameOf(sampler)}, K ${directions}: 3, 10 and 30 layers need equal bytes beside the parameters`, async () => {
      const gradient = forwardGradient({ sampler, directions });
      const [three, ten, thirty] = await Promise.all(
        [3, 10, 30].map((depth) => afterStep({ depth, width, batch, gradient })),
      );
      for (const [i, found] of [three, ten, thirty].entries()) {
        const { memory, plan } = found!;
        assert.is(memory.tape, 0);
        assert.is(memory.state, 0);
        assert.is(memory.parameters, parameterBytes([3, 10, 30][i]!, width), 'exactly one copy');
        assert.is(memory.workspace, three!.memory.workspace, plan);
        assert.is(memory.data, batchBytes(2 * activation), 'the batch');
        // Two live activations with K tangents each, and one tangent panel, which is at most one layer (DESIGN section 5).
        const live = (1 + directions) * 2 * activation;
        assert.ok(memory.workspace <= live + 4 * width * width, `${memory.workspace} for ${live} and a panel\n${plan}`);
        assert.is(memory.total, memory.data + memory.parameters + memory.workspace);
      }
    });
  }
}

test('the panel does not grow with the layer: a batch of 4 through a wide layer needs less than a quarter of it', async () => {
  const wide = thinned ? 512 : 1024;
  for (const sampler of samplers) {
    const { memory, plan } = await afterStep({
      depth: 3,
      width: wide,
      batch: 4,
      gradient: forwardGradient({ sampler }),
    });
    assert.ok(memory.workspace < wide * wide, `${nameOf(sampler)}: ${memory.workspace}\n${plan}`);
  }
});

test('initial values are drawn where they stay', async () => {
  const trainer = trainerOf({ depth: 2, width: 1024, batch: 1, gradient: backprop() });
  await trainer.parameters();
  const { workspace, parameters, tape } = trainer.memory();
  assert.equal([workspace, tape, parameters], [0, 0, parameterBytes(2, 1024)]);
  const w = (await trainer.parameters())['0.w']!.data as Float32Array;
  const squares = w.reduce((sum, value) => sum + value * value, 0);
  assert.ok(Math.abs(squares / 1024 / 2 - 1) < 0.01, 'the variance of heNormal is 2 / fanIn');
  trainer.dispose();
});

test('sphere draws its tangents once more, for their norm, one after the other: a line of norms a parameter', async () => {
  for (const directions of [1, 4]) {
    const gradient = forwardGradient({ sampler: sphere(), directions });
    const [three, ten] = await Promise.all(
      [3, 10].map((depth) => afterStep({ depth, width: 128, batch: 16, gradient })),
    );
    assert.is(ten!.memory.tape, 0);
    assert.ok(ten!.memory.workspace - three!.memory.workspace <= 14 * 64, ten!.plan);
  }
});

test('backprop: the tape grows by one activation a layer, the workspace does not', async () => {
  const [one, three, ten, thirty] = await Promise.all(
    [1, 3, 10, 30].map((depth) => afterStep({ depth, width, batch, gradient: backprop() })),
  );
  const [a, b, c, d] = [one!, three!, ten!, thirty!].map(({ memory }) => memory.tape) as [
    number,
    number,
    number,
    number,
  ];
  assert.is(b - a, 2 * activation);
  assert.is(c - b, 7 * activation);
  assert.is(d - c, 20 * activation);
  assert.is(thirty!.memory.workspace, three!.memory.workspace);
  assert.is(thirty!.memory.parameters, parameterBytes(30, width));
  assert.is(thirty!.memory.state, 0);
});

test('state: one more parameter with momentum, two with adam, none for sgd', async () => {
  const bytes = parameterBytes(3, 64);
  for (const gradient of [backprop(), forwardGradient()]) {
    const state = async (optimizer: Optimizer): Promise<number> =>
      (await afterStep({ depth: 3, width: 64, batch: 8, gradient, optimizer })).memory.state;
    assert.is(await state(sgd({ learningRate: 0.1 })), 0);
    assert.is(await state(sgd({ learningRate: 0.1, momentum: 0.9 })), bytes);
    assert.is(await state(adam({ learningRate: 0.1 })), 2 * bytes);
  }
});

test('float64 on reference: twice the bytes', async () => {
  const setting = { depth: 2, width: 16, batch: 4, gradient: forwardGradient() };
  const { memory } = await afterStep({ ...setting, options: { device: 'reference' } });
  assert.is(memory.parameters, 2 * parameterBytes(2, 16));
});

test('all plans of a trainer share one workspace', async () => {
  const trainer = trainerOf({ depth: 3, width, batch, gradient: forwardGradient() });
  const rows = (n: number) => tensor(new Float32Array(n * width), [n, width]);
  await trainer.step({ inputs: rows(batch), targets: rows(batch) });
  const { workspace } = trainer.memory();
  await trainer.predict(rows(batch));
  await trainer.step({ inputs: rows(8), targets: rows(8) });
  await trainer.evaluate(Dataset.from(rows(16), rows(16)));
  assert.is(trainer.memory().workspace, workspace);
  assert.is(trainer.memory().parameters, parameterBytes(3, width));
  trainer.dispose();
});

test('a resident set of bytes takes a byte an element, once', async () => {
  const trainer = trainerOf({ depth: 1, width: 100, batch: 10, gradient: backprop() });
  const set = Dataset.from(new Uint8Array(64 * 100), tensor(new Float32Array(64 * 100), [64, 100]));
  await trainer.fit(set, { epochs: 1, batchSize: 16 });
  const { data } = trainer.memory();
  await trainer.fit(set, { epochs: 2, batchSize: 16 });
  // On cuda the tables of the longest native call are there too, whose steps depend on the clock: rate, indices and loss of each.
  const tablesOf = (steps: number): number => (testDevice === 'cuda' ? steps * (8 + 16 * 4 + 4) + 192 : 0);
  const growth = trainer.memory().data - data;
  assert.ok(growth >= 0 && growth <= tablesOf(8), `${growth} more`);
  const least = 64 * 100 * 5;
  const most = least + 2 * 16 * 100 * 4 + 256 + tablesOf(4); // a batch, and what alignment takes
  assert.ok(data >= least && data <= most, String(data));
  trainer.dispose();
});

test('before the first call there is nothing, and what comes back is frozen', () => {
  const trainer = trainerOf({ depth: 2, width: 64, batch: 1, gradient: backprop() });
  const memory = trainer.memory();
  assert.equal({ ...memory }, { data: 0, parameters: 0, state: 0, tape: 0, workspace: 0, total: 0 });
  assert.ok(Object.isFrozen(memory));
  assert.match(trainer.describe(), /no plan yet/);
  trainer.dispose();
});

test('describe names the kernels, the places and the totals that memory reports', async () => {
  const { memory, plan } = await afterStep({
    depth: 2,
    width: 32,
    batch: 4,
    gradient: forwardGradient({ sampler: gaussian() }),
  });
  assert.match(plan, /train batch 4/);
  assert.match(plan, /dense_pushforward/);
  assert.match(plan, /sgd/);
  assert.match(plan, new RegExp(`workspace ${memory.workspace} bytes, tape 0`));
});

test.run();
