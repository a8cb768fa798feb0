import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { native } from '../src/binding.ts';
import { encodeProgram, type Program, type ProgramNode } from '../src/trace/encode.ts';
import { below, generator, pick } from './cases/index.ts';
import { codes, input, newSession, node, outcome } from './support/hostile.ts';

// Programs made of hostile parts: every op with every attribute it might have, and numbers chosen to hurt.
const opNames = [
  'add',
  'mul',
  'div',
  'pow',
  'exp',
  'log',
  'relu',
  'leakyRelu',
  'elu',
  'gelu',
  'clip',
  'where',
  'less',
  'equal',
  'sign',
  'isGreater',
  'matmul',
  'dense',
  'dense_pushforward',
  'sum',
  'mean',
  'max',
  'maxMask',
  'logSumExp',
  'softmax',
  'logSoftmax',
  'softmaxCrossEntropy',
  'pick',
  'unpick',
  'meanSquaredError',
  'reshape',
  'transpose',
  'broadcast',
  'concat',
  'slice',
  'pad',
  'stopGradient',
  'random',
  'assign',
  'sgd',
  'adam',
  'adamW',
  'directionalGradient',
  'combine',
  'tangentDot',
  'full',
  'constant',
  'parameter',
  'input',
  'call',
  'forwardGradient',
  'spsa',
] as const;
const numberNames = [
  'directions',
  'firstDirection',
  'rank',
  'stream',
  'parameter',
  'fixedStep',
  'scale',
  'keepDims',
  'axis',
  'classes',
  'value',
  'transposeA',
  'momentum',
  'nesterov',
  'beta1',
  'epsilon',
  'weightDecay',
  'weight',
  'rate',
  'project',
  'clip',
  'controlVariate',
  'perturbation',
  'tangent.kind',
  'tangent.rank',
];
const listNames = [
  'shape',
  'axis',
  'permutation',
  'start',
  'size',
  'before',
  'after',
  'wrt',
  'parameters',
  'kinds',
  'ranks',
  'rows',
  'columns',
];
const textNames = ['activation', 'distribution', 'transform', 'sampler', 'dtype', 'name', 'wDot', 'bDot', 'tangent'];
const texts = [
  'relu',
  'gelu',
  'none',
  'gaussian',
  'rademacher',
  'lowRank',
  'sphere',
  'uniform',
  'jvp',
  'vjp',
  'real',
  'int32',
  'w',
  '',
];
const hostile = [0, 1, 2, 3, 4, -1, -2, 5, 7, 0.5, Number.NaN, Infinity, 1e300, 2 ** 31, 2 ** 32, 2 ** 53];
const wholes = [0, 1, 2, 3, -1, -2, 4, 6, 2 ** 31, -(2 ** 31), 2 ** 40];
const smallShapes = [[8, 16], [], [1], [3], [2, 3], [3, 2], [0], [2, 0], [1, 3], [2, 2, 3], [4, 1, 1]];

const optimizers = { sgd: 0, adam: 0, adamW: 0 };

function hostileProgram(random: () => number, depth: number): Program {
  const nodes: ProgramNode[] = [];
  let values = 0;
  const inputs = 1 + below(random, 4);
  for (let i = 0; i < inputs; i++) {
    nodes.push(input(pick(random, smallShapes), random() < 0.25 ? 'int32' : 'real'));
    values++;
  }
  for (let i = 1 + below(random, 4); i > 0; i--) {
    const op = pick(random, opNames);
    const attributes: Record<string, ProgramNode['attributes'][string]> = {};
    const fitting: Record<string, () => void> = {
      reshape: () => (attributes.shape = [-1]),
      broadcast: () => (attributes.shape = [2, 2, 3]),
      slice: () => Object.assign(attributes, { start: [0], size: [1] }),
      pad: () => Object.assign(attributes, { before: [0], after: [1] }),
      unpick: () => (attributes.classes = 3),
      full: () => Object.assign(attributes, { shape: [3], value: 1 }),
      random: () => (attributes.shape = pick(random, smallShapes)),
      parameter: () =>
        Object.assign(attributes, { name: pick(random, ['w', 'state/w', 'b']), shape: pick(random, smallShapes) }),
      constant: () =>
        Object.assign(attributes, { shape: [2], dtype: 'int32', data: Float64Array.of(1e300, Number.NaN) }),
      call: () => (attributes.transform = pick(random, ['none', 'jvp', 'vjp'])),
      forwardGradient: () =>
        Object.assign(attributes, {
          sampler: pick(random, ['gaussian', 'lowRank', 'sphere']),
          rank: 1,
          directions: 2,
          wrt: [0],
          parameters: [0],
        }),
      input: () => (attributes.shape = pick(random, smallShapes)),
    };
    fitting[op]?.();
    while (random() < 0.3) {
      const kind = random();
      if (kind < 0.4) attributes[pick(random, numberNames)] = pick(random, hostile);
      else if (kind < 0.8)
        attributes[pick(random, listNames)] = Array.from({ length: below(random, 4) }, () => pick(random, wholes));
      else attributes[pick(random, textNames)] = pick(random, texts);
    }
    // Ops with inputs that may be absent, whole and shortened: the shortened ones have a test of their own.
    const whole: Record<string, number> = { sgd: 8, adam: 8, adamW: 8, dense_pushforward: 6 };
    const arity = whole[op] ?? pick(random, [0, 1, 1, 2, 2, 3, 4, 9]);
    const bodies = (op === 'call' || op === 'forwardGradient') && depth < 3 ? [hostileProgram(random, depth + 1)] : [];
    const count =
      bodies.length > 0
        ? bodies[0]!.nodes.filter((each) => each.op === 'input').length * (1 + below(random, 2))
        : arity;
    nodes.push(
      node(
        op,
        Array.from({ length: count }, (_, at) =>
          random() < 0.08 || (op in optimizers && at > 3 && at < 7) ? -1 : below(random, values),
        ),
        attributes,
        bodies,
      ),
    );
    values += op === 'call' || op === 'dense_pushforward' ? 2 : 1;
  }
  return { nodes, outputs: [below(random, values), values - 1] };
}

test('programs of hostile parts: refused, or planned and run', async () => {
  const random = generator(77);
  const counts = new Map<string, number>();
  let session = newSession();
  let ran = 0;
  for (let i = 0; i < 12_000; i++) {
    if (i % 200 === 199) {
      session.dispose();
      session = newSession();
    }
    const made = hostileProgram(random, 0);
    const bytes = encodeProgram(made);
    const result = outcome(`hostile program ${i}`, bytes, session, i % 2 === 0);
    counts.set(result, (counts.get(result) ?? 0) + 1);
    if (result !== 'plan') continue;
    ran++;
    await run(session, made, i);
  }
  session.dispose();
  assert.ok(ran > 200, JSON.stringify([...counts]));
});

/** Runs a plan; it ends well or with a code. */
async function run(session: InstanceType<typeof native.Session>, made: Program, i: number): Promise<void> {
  const inputs = made.nodes
    .filter((each) => each.op === 'input')
    .map(({ attributes }) => {
      const n = (attributes.shape as number[]).reduce((product, size) => product * size, 1);
      return attributes.dtype === 'int32' ? new Int32Array(n).fill(i % 5) : new Float32Array(n).fill(1.5);
    });
  const start = performance.now();
  try {
    const plan = session.compile(encodeProgram(made), i % 2 === 0);
    await plan.run({ inputs, keyLow: 1, keyHigh: 2, firstStep: 0, steps: 1, rates: Float64Array.of(0.1) });
  } catch (error) {
    const { code, message } = error as Error & { code: string };
    assert.ok(codes.has(code) || code === 'NUMERIC', `run of ${i}: ${code} ${message}`);
  }
  assert.ok(performance.now() - start < 2000);
}

test.run();
