// What the tests of hostile programs share: what became of some bytes, and programs that are fine.
import * as assert from 'uvu/assert';
import { native } from '../../src/binding.ts';
import { ops, tensor, type Value } from '../../src/index.ts';
import { traceBody } from '../../src/trace/body.ts';
import { encodeProgram, type Program, type ProgramNode } from '../../src/trace/encode.ts';
import { Graph } from '../../src/trace/graph.ts';
import { gradCall, jvpCall } from '../../src/transforms/call.ts';
import { emitForwardGradient } from '../../src/transforms/forward_gradient.ts';
import { traceProgram } from './native_call.ts';

export const codes: ReadonlySet<string> = new Set([
  'SHAPE_MISMATCH',
  'DTYPE_MISMATCH',
  'INVALID_ARGUMENT',
  'NOT_DIFFERENTIABLE',
  'NO_KERNEL',
  'OUT_OF_MEMORY',
  'VERSION',
]);

/** What became of some bytes: 'plan', or the code of the error. */
export function outcome(
  what: string,
  bytes: Uint8Array,
  session: InstanceType<typeof native.Session>,
  fuse = true,
): string {
  // To find the program that ended the process.
  if (process.env.PUSHFORWARD_TEST_TRACE !== undefined)
    process.stderr.write(`${what} ${Buffer.from(bytes).toString('hex').slice(0, 4000)}\n`);
  const start = performance.now();
  let result = 'plan';
  try {
    native.infer(bytes);
    session.compile(bytes, fuse);
  } catch (error) {
    const { code, message } = error as Error & { code: string };
    assert.ok(error instanceof Error && codes.has(code), `${what}: ${code} ${message}`);
    assert.match(message, /^\[[^\]]*\] expected .+ but received .+$/s, what);
    assert.ok(message.length < 600, `${what}: a sentence of ${message.length} characters`);
    result = code;
  }
  const milliseconds = performance.now() - start;
  assert.ok(milliseconds < 2000, `${what}: ${milliseconds} ms`);
  return result;
}

export const newSession = (): InstanceType<typeof native.Session> => new native.Session('cpu', '', 1);

export function refused(what: string, program: Program | Uint8Array, ...expected: string[]): void {
  const session = newSession();
  const result = outcome(what, program instanceof Uint8Array ? program : encodeProgram(program), session);
  assert.ok(expected.includes(result), `${what}: ${result} where ${expected.join(' or ')} was expected`);
  session.dispose();
}

export const node = (
  op: string,
  inputs: number[] = [],
  attributes: ProgramNode['attributes'] = {},
  bodies: Program[] = [],
): ProgramNode => ({
  op,
  inputs,
  attributes,
  bodies,
});
export const input = (shape: number[], dtype = 'real'): ProgramNode => node('input', [], { shape, dtype });
export const program = (...nodes: ProgramNode[]): Program => ({ nodes, outputs: [] });

/** A layer, a loss, its tangent, its gradient, a training step: programs that a user's code makes. */
export function validPrograms(): [name: string, bytes: Uint8Array][] {
  const shapes = [{ shape: [4, 3] }, { shape: [3, 5] }, { shape: [5] }, { shape: [4], dtype: 'int32' as const }];
  const loss = (x: Value, w: Value, b: Value, labels: Value): Value =>
    ops.mean(ops.softmaxCrossEntropy(ops.dense(x, w, b, { activation: 'tanh' }), labels));
  const programs: [string, Program][] = [
    ['loss', traceProgram(shapes, (...x) => [loss(...(x as [Value, Value, Value, Value]))])],
    [
      'jvp',
      traceProgram(shapes, (...x) => jvpCall('test', loss as never, x, [null, x[1]!, x[2]!, null]).flat() as Value[]),
    ],
    ['grad', traceProgram(shapes, (...x) => gradCall('test', loss as never, x, 1).flat() as Value[])],
    [
      'shapes',
      traceProgram([{ shape: [2, 3] }, { shape: [3] }], (x, y) => {
        const wide = ops.concat([ops.pad(x!, { before: [0, 1], after: [1, 0] }), ops.broadcast(1, [3, 4])], {
          axis: 1,
        });
        const cut = ops.slice(ops.transpose(wide), [1, 0], [3, 3]);
        const chosen = ops.where(
          ops.greater(cut, tensor(Float32Array.of(0, 1, 2))),
          ops.clip(cut, { min: -1, max: 1 }),
          ops.leakyRelu(y!),
        );
        return [
          ops.logSumExp(chosen, { axis: [0] }),
          ops.max(chosen),
          ops.softmax(ops.reshape(chosen, [9])),
          ops.random([4]),
        ];
      }),
    ],
  ];
  const graph = new Graph({ real: 'float32', training: true });
  const step = graph.within(() => {
    const x = graph.input([4, 3], 'float32');
    const labels = graph.input([4], 'int32');
    const [w, b] = [graph.parameter('w', [3, 5]), graph.parameter('b', [5])];
    const panels = graph.parameter('panels', [5, 16], true); // lies as products read it
    const inputs = [x, w, b, panels, labels];
    const deeper = (x: Value, w: Value, b: Value, p: Value, t: Value): Value =>
      ops.mean(ops.softmaxCrossEntropy(ops.dense(ops.dense(x, w, b, { activation: 'tanh' }), p), t));
    const body = traceBody(
      'test',
      deeper as never,
      { kind: 'array', items: inputs.map(() => ({ kind: 'leaf' })) } as never,
      inputs,
      graph.context,
      graph,
    );
    const sampler = { kind: 'lowRank', rank: 2 };
    const settings = { sampler, directions: 2, combine: 'projection', clip: 1 } as never;
    const made = emitForwardGradient(graph, body, inputs, [1, 2, 3], [0, 1, 2], settings);
    const { coefficients, gradients: estimates } = made;
    const state = graph.parameter('state/momentum/w', [3, 5]);
    const moments = ['m', 'v'].map((name) => graph.parameter(`state/${name}/b`, [5]));
    const guards = [made.outputs[0]!, made.c[0]!, coefficients!];
    graph.emit('sgd', [w, state, null, estimates[0]!, null, null, null, ...guards], {
      momentum: 0.9,
      nesterov: true,
      weightDecay: 0,
    });
    graph.emit('adam', [b, moments[0]!, moments[1]!, estimates[1]!, null, null, null, ...guards], {
      beta1: 0.9,
      beta2: 0.99,
      epsilon: 1e-8,
    });
    const velocity = graph.parameter('state/momentum/panels', [5, 16], true);
    graph.emit('sgd', [panels, velocity, null, estimates[2]!, null, null, null, ...guards], {
      momentum: 0.9,
      nesterov: false,
      weightDecay: 0,
    });
    return graph.finish('test', guards);
  });
  programs.push(['training step', step]);
  return programs.map(([name, each]) => [name, encodeProgram(each).slice()]);
}

export const valid: [name: string, bytes: Uint8Array][] = validPrograms();
