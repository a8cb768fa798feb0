// Cotangents between pullbacks (native/core/pullbacks.cpp): relu's slope where a pool's or a convolution's pullback writes, a bias's cotangent
// where the filter's pullback reads. All numbers are whole and all sums small, so the fused plan and the plain one agree in every bit.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import { grad, ops, type RunOptions, type Tensor, tensor, type Value } from '../src/index.ts';
import { openSession, type Target } from '../src/plan/engine.ts';
import { generator } from './cases/index.ts';
import { withIsa } from './support/isa.ts';
import { compileOn, traceProgram } from './support/native_call.ts';

const random = generator(23);

/** Whole numbers up to `most`, of which a share is not zero. */
function sparse(shape: readonly number[], most: number, share: number): Tensor {
  const draw = (): number => (random() < share ? Math.round((2 * random() - 1) * most) : 0);
  return tensor(Float32Array.from({ length: shape.reduce((n, axis) => n * axis, 1) }, draw), shape);
}

interface Layer {
  readonly filters: number;
  readonly stride?: number;
  readonly dilation?: number;
  readonly pool?: number;
}

interface Net {
  readonly image: readonly [batch: number, height: number, width: number, channels: number];
  readonly layers: readonly Layer[];
  /** Kernels of pools and convolutions in its backward phase, in order. */
  readonly kernels: readonly string[];
}

const [pool, both, gated, plain] = [
  'max_pool2d_gated_pullback',
  'conv2d_filter_bias_pullback',
  'conv2d_gated_input_pullback',
  'conv2d_input_pullback',
] as const;
const nets: Readonly<Record<string, Net>> = {
  'pools and tiles': {
    image: [2, 12, 20, 3],
    layers: [{ filters: 32 }, { filters: 64, pool: 2 }, { filters: 40 }, { filters: 16, pool: 2 }],
    kernels: [pool, both, gated, plain, both, pool, both, gated, plain, both],
  },
  'strides, which scatter, and few channels': {
    image: [3, 17, 15, 2],
    layers: [{ filters: 5 }, { filters: 7, stride: 2 }, { filters: 4, stride: 3 }],
    kernels: [both, gated, both, gated, plain, both],
  },
  'narrow images, whose patches are copied': {
    image: [9, 5, 4, 33],
    layers: [{ filters: 65 }, { filters: 20, dilation: 2 }, { filters: 3 }],
    kernels: [both, gated, both, gated, plain, both],
  },
  'several blocks of depth and columns': {
    image: [1, 6, 20, 260],
    layers: [{ filters: 130 }, { filters: 9 }],
    kernels: [both, gated, plain, both],
  },
  'many pixels, in pieces': {
    image: [6, 30, 31, 4],
    layers: [{ filters: 33 }, { filters: 32 }],
    kernels: [both, gated, plain, both],
  },
};

/** x, then w and b of each layer. */
function argumentsOf({ image, layers }: Net): Tensor[] {
  let channels = image[3];
  const parameters = layers.flatMap(({ filters }) => {
    const w = sparse([3, 3, channels, filters], 1, Math.min(0.5, 6 / channels));
    channels = filters;
    return [w, sparse([filters], 2, 0.7)];
  });
  return [sparse(image, 3, 0.5), ...parameters];
}

function output({ layers }: Net, [x, ...parameters]: readonly Value[]): Value {
  let y = x as Value;
  for (const [i, { stride = 1, dilation = 1, pool: window }] of layers.entries()) {
    const [w, b] = parameters.slice(2 * i) as [Value, Value];
    y = ops.conv2d(y, w, b, { stride, dilation, padding: dilation, activation: 'relu' });
    if (window !== undefined) y = ops.maxPool2d(y, { window });
  }
  return y;
}

/** Names of the kernels of pools and convolutions in a plan's backward phase. */
function kernelsOf(shapes: readonly (readonly number[])[], f: (x: Value[]) => Value): string[] {
  const target: Target = { device: 'cpu', precision: 'f32', isa: 'baseline', threads: 1, fuse: true };
  const session = openSession(target);
  try {
    const program = traceProgram(
      shapes.map((shape) => ({ shape })),
      (...x) => grad(f)(x) as unknown as Value[],
    );
    const rows = compileOn(session, program).describe().split('\n');
    return rows.flatMap((row) => /^\d+\s+(\S+_pullback)\s/.exec(row)?.[1] ?? []);
  } finally {
    session.dispose();
  }
}

for (const [name, net] of Object.entries(nets)) {
  const args = argumentsOf(net);
  let t: Tensor | undefined;
  const f = (at: readonly Value[]): Value => {
    const y = output(net, at);
    t ??= sparse(y.shape, 2, 0.2);
    return ops.sum(ops.mul(y, t));
  };

  test(`kernels: ${name}`, () => {
    assert.equal(
      kernelsOf(
        args.map(({ shape }) => shape),
        f,
      ),
      net.kernels,
    );
  });

  for (const precision of ['f32', 'bf16'] as const)
    test(`${precision}: ${name}`, async () => {
      const run = (isa: string, options: RunOptions): Promise<Tensor[]> =>
        withIsa(isa, () => grad(f, { device: 'cpu', precision, ...options })(args)) as Promise<Tensor[]>;
      const truth = await run('baseline', { fuse: false, threads: 1 });
      assert.ok(truth.every(({ data }) => data.some((each) => each !== 0)));
      for (const isa of native.instructionSets(precision))
        for (const threads of [1, 2])
          for (const [i, { data }] of (await run(isa, { threads })).entries()) {
            const at = data.findIndex((each, j) => each !== truth[i]?.data[j]);
            assert.is(at, -1, `${isa}, ${threads} threads, argument ${i}: ${data[at]} for ${truth[i]?.data[at]}`);
          }
    });
}

const conv = (x: Value, w: Value, activation: 'relu' | 'tanh' | 'none'): Value =>
  ops.conv2d(x, w, { padding: 1, activation });
const shapes = [
  [1, 8, 8, 2],
  [3, 3, 2, 2],
  [3, 3, 2, 2],
] as const;
const chains: Readonly<Record<string, readonly [f: (x: readonly Value[]) => Value, kernels: readonly string[]]>> = {
  "tanh's slope is a chain": [
    ([x, v, w]) => ops.sum(conv(conv(x!, v!, 'tanh'), w!, 'none')),
    ['conv2d_input_pullback', 'conv2d_filter_pullback', 'conv2d_input_pullback', 'conv2d_filter_pullback'],
  ],
  'a result that others read too': [
    ([x, v, w]) => {
      const y = conv(x!, v!, 'relu');
      return ops.sum(ops.add(conv(y, w!, 'none'), y));
    },
    ['conv2d_input_pullback', 'conv2d_filter_pullback', 'conv2d_input_pullback', 'conv2d_filter_pullback'],
  ],
  'a pool of what is no result of relu': [
    ([x, v, w]) => ops.sum(conv(ops.relu(ops.maxPool2d(conv(x!, v!, 'none'), { window: 2 })), w!, 'none')),
    [
      'conv2d_gated_input_pullback',
      'conv2d_filter_pullback',
      'max_pool2d_pullback',
      'conv2d_input_pullback',
      'conv2d_filter_pullback',
    ],
  ],
};
for (const [name, [f, kernels]] of Object.entries(chains))
  test(`kernels: ${name}`, () => {
    assert.equal(kernelsOf(shapes, f).sort(), [...kernels].sort());
  });

test.run();
