// scan against the same loop written out in the trace: values, both derivatives, second order, and what it costs in memory.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  backprop,
  evaluate,
  forwardGradient,
  type GradientEstimator,
  gaussian,
  grad,
  hvp,
  jvp,
  lowRank,
  ops,
  parameter,
  type RunOptions,
  rademacher,
  scan,
  sgd,
  Tensor,
  Trainer,
  tensor,
  type Value,
} from '../src/index.ts';

const reference: RunOptions = { device: 'reference' };
const T = 5;
const B = 3;
const N = 4;

function wave(shape: readonly number[], phase: number): Tensor {
  const size = shape.reduce((product, axis) => product * axis, 1);
  return tensor(
    Float64Array.from({ length: size }, (_, i) => Math.sin(1.7 * i + phase)),
    shape,
  );
}

/** A small recurrent cell: h' = tanh(x wx + h wh + b), y = h' ⊙ h. */
function cell(wx: Value, wh: Value, b: Value) {
  return (h: Value, x: Value): [Value, Value] => {
    const next = ops.dense(x, wx, b).add(h.matmul(wh)).tanh();
    return [next, next.mul(h)];
  };
}

type F = (xs: Value, h: Value, wx: Value, wh: Value, b: Value) => Value;

const looped: F = (xs, h, wx, wh, b) => {
  const [last, ys] = scan(cell(wx, wh, b), h, xs);
  return last.square().sum().add(ys.sin().sum());
};
const unrolled: F = (xs, h, wx, wh, b) => {
  const step = cell(wx, wh, b);
  let carry = h;
  const ys: Value[] = [];
  for (let t = 0; t < T; t++) {
    const [next, y] = step(carry, xs.slice([t, 0, 0], [1, B, N]).reshape([B, N]));
    carry = next;
    ys.push(y.sin().sum());
  }
  return ys.reduce((total, y) => total.add(y), carry.square().sum());
};
type Five = [Tensor, Tensor, Tensor, Tensor, Tensor];
const args: Five = [wave([T, B, N], 0), wave([B, N], 1), wave([N, N], 2), wave([N, N], 3), wave([N], 4)];
const dots = args.map(({ shape }, i) => wave(shape, 10 + i)) as Five;

function near(what: string, actual: unknown, expected: unknown, tolerance: number): void {
  const numbers = (x: unknown): number[] => (x instanceof Tensor ? [...x.data] : (x as unknown[]).flatMap(numbers));
  const truth = numbers(expected);
  assert.is(numbers(actual).length, truth.length, `${what}: size`);
  for (const [i, value] of numbers(actual).entries()) {
    const error = Math.abs(value - (truth[i] as number)) / Math.max(1, Math.abs(truth[i] as number));
    assert.ok(error <= tolerance, `${what}[${i}]: ${value} for ${truth[i]}`);
  }
}

for (const fuse of [true, false]) {
  const options = { ...reference, fuse };
  test(`value, jvp, grad and hvp equal the loop written out, ${fuse ? 'fused' : 'unfused'}`, async () => {
    near('value', await evaluate(looped, options)(...args), await evaluate(unrolled, options)(...args), 1e-13);
    near('jvp', await jvp(looped, args, dots, options), await jvp(unrolled, args, dots, options), 1e-12);
    for (let argnums = 0; argnums < args.length; argnums++) {
      const own = { ...options, argnums };
      near(`grad ${argnums}`, await grad(looped, own)(...args), await grad(unrolled, own)(...args), 1e-12);
    }
    near('hvp', await hvp(looped, args, dots, options), await hvp(unrolled, args, dots, options), 1e-11);
  });
}

test('a tangent that only some inputs have', async () => {
  for (let i = 0; i < args.length; i++) {
    const some = dots.map((dot, j) => (i === j ? dot : null)) as never;
    near(`tangent ${i}`, await jvp(looped, args, some, reference), await jvp(unrolled, args, some, reference), 1e-12);
  }
});

test('in reverse, with two carries that change places, without sequences', async () => {
  const xs = tensor(Float64Array.of(1, 2, 3));
  const last = (reverse: boolean) => (x: Value) =>
    scan((c: Value, v: Value) => [c.mul(0.5).add(v), c], ops.sum(x).mul(0), x, { reverse });
  const forward = await evaluate(last(false), reference)(xs);
  near('forward', forward, [[tensor(Float64Array.of(4.25))], tensor(Float64Array.of(0, 1, 2.5))], 1e-15);
  near(
    'reverse',
    await evaluate(last(true), reference)(xs),
    [tensor(Float64Array.of(2.75)), tensor(Float64Array.of(3.5, 3, 0))],
    1e-15,
  );
  const fibonacci = (a: Value, b: Value) =>
    scan(([p, q]: readonly Value[]) => [[q as Value, (p as Value).add(q as Value)]], [a, b], undefined, {
      length: 10,
    })[0];
  near(
    'fibonacci',
    await evaluate(fibonacci, reference)(0, 1),
    [tensor(Float64Array.of(55)), tensor(Float64Array.of(89))],
    0,
  );
});

/** Bytes of the plan of one training step over T steps of time. */
async function bytes(
  length: number,
  gradient: GradientEstimator,
  checkpoint = 1,
): Promise<{ workspace: number; tape: number }> {
  const model = (x: Value): Value => {
    const xs = x.transpose([1, 0, 2]);
    const wx = parameter('wx', [N, 32]);
    const wh = parameter('wh', [32, 32]);
    const b = parameter('b', [32], 'zeros');
    const start = ops.mul(
      x
        .slice([0, 0, 0], [x.shape[0] ?? 1, 1, N])
        .reshape([-1, N])
        .matmul(wx),
      0,
    );
    const [last] = scan((h: Value, v: Value) => [ops.dense(v, wx, b).add(h.matmul(wh)).tanh()], start, xs, {
      checkpoint,
    });
    return last.matmul(parameter('out', [32, 1]));
  };
  const trainer = new Trainer({
    model,
    inputShape: [length, N],
    loss: ops.meanSquaredError,
    gradient,
    optimizer: sgd({ learningRate: 1e-3 }),
    device: 'cpu',
  });
  const inputs = tensor(new Float32Array(B * length * N).fill(0.1), [B, length, N]);
  await trainer.step({ inputs, targets: tensor(new Float32Array(B), [B, 1]) });
  const { workspace, tape } = trainer.memory();
  trainer.dispose();
  const sequence = 4 * B * length * N; // xs itself, time first
  return { workspace: workspace - sequence, tape };
}

test('forward mode needs as much workspace for 10,000 steps of time as for 100; backprop grows with time', async () => {
  for (const sampler of [gaussian(), rademacher(), lowRank({ rank: 1 })]) {
    const short = await bytes(100, forwardGradient({ sampler }));
    const long = await bytes(10_000, forwardGradient({ sampler }));
    assert.ok(Math.abs(long.workspace - short.workspace) <= 64, `${short.workspace} and ${long.workspace} bytes`);
    assert.equal([short.tape, long.tape], [0, 0]);
  }
  const short = await bytes(100, backprop());
  const long = await bytes(10_000, backprop());
  assert.ok(long.tape > 90 * short.tape, `${short.tape} and ${long.tape} bytes`);
});

test('checkpointed every 2 steps: the same derivatives, and a shorter tape', async () => {
  const even = [wave([6, B, N], 0), ...args.slice(1)] as Five;
  const run =
    (checkpoint: number): F =>
    (xs, h, wx, wh, b) => {
      const [last, ys] = scan(cell(wx, wh, b), h, xs, { checkpoint });
      return last.square().sum().add(ys.sin().sum());
    };
  const [plain, cut] = [run(1), run(2)];
  for (let argnums = 0; argnums < even.length; argnums++) {
    const own = { ...reference, argnums };
    near(`grad ${argnums}`, await grad(cut, own)(...even), await grad(plain, own)(...even), 1e-13);
  }
  near(
    'jvp',
    await jvp(cut, even, [wave([6, B, N], 10), ...dots.slice(1)] as Five, reference),
    await jvp(plain, even, [wave([6, B, N], 10), ...dots.slice(1)] as Five, reference),
    1e-13,
  );
  const short = await bytes(10_000, backprop(), 100);
  const long = await bytes(10_000, backprop());
  assert.ok(short.tape < 0.2 * long.tape, `${short.tape} and ${long.tape} bytes`);
});

test('misuse', async () => {
  const refused = async (f: (x: Value) => unknown, code: string): Promise<void> => {
    try {
      await evaluate(f as (x: Value) => Value, reference)(args[0]);
    } catch (error) {
      assert.is((error as { code?: string }).code, code, String(error));
      return;
    }
    assert.unreachable(`${f}`);
  };
  const zero = (x: Value): Value => x.slice([0, 0, 0], [1, B, N]).reshape([B, N]);
  await refused((x) => scan((c: Value, v: Value) => [ops.concat([c, v]), v], zero(x), x), 'SHAPE_MISMATCH');
  await refused((x) => scan((c: Value, v: Value) => [c.add(ops.random([B, N])), v], zero(x), x), 'INVALID_ARGUMENT');
  await refused((x) => scan((c: Value) => c as never, zero(x), x), 'INVALID_ARGUMENT');
  await refused((x) => scan((c: Value) => [c], zero(x), undefined), 'INVALID_ARGUMENT');
  await refused((x) => scan((c: Value, v: Value) => [c, v], zero(x), x, { length: 3 }), 'SHAPE_MISMATCH');
  await refused((x) => scan((c: Value, v: Value) => [c, v], zero(x), x, { checkpoint: 2 }), 'INVALID_ARGUMENT');
});

test.run();
