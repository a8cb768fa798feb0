// vjp on data: the forward half of a plan now, the backward half whenever the pullback is called, residuals kept in between.
import { assertFunction, PushforwardError } from '../errors.ts';
import type { NativeArray, NativePlan } from '../native.ts';
import {
  type Engine,
  type RunOptions,
  runPlan,
  sharedEngine,
  type Target,
  toTarget,
  translate,
} from '../plan/engine.ts';
import { type Leaf, Tensor } from '../tensor.ts';
import { encodeProgram } from '../trace/encode.ts';
import { Graph } from '../trace/graph.ts';
import type { Value } from '../trace/value.ts';
import {
  type Data,
  dataLeaf,
  type Flat,
  flatten,
  flattenLike,
  type Result,
  type Structure,
  unflatten,
} from '../tree.ts';
import { type Traceable, traceCall } from './call.ts';
import { type LeafType, leafData, leafType, planCache, planKey, traceContext } from './execute.ts';
import { type Args, asArguments, readRunOptions } from './transforms.ts';

/** The second half of {@link vjp}: a cotangent of the value ↦ cotangents of the primals, null for int32. */
export interface Pullback<A extends Args, R> extends Disposable {
  (cotangent: Data<R>): Promise<Result<A>>;
  /** Frees the residuals; a later call rejects with DISPOSED. */
  dispose(): void;
}

interface SplitPlan {
  readonly engine: Engine;
  readonly forward: NativePlan;
  readonly backward: NativePlan;
  /** Of the value. */
  readonly structure: Structure;
  readonly outputs: readonly LeafType[];
}

const cachedPlan = planCache<SplitPlan>();

function compile(f: Traceable, flat: Flat<Leaf>, types: readonly LeafType[], target: Target): SplitPlan {
  const graph = new Graph(traceContext(target));
  const { structure, outputs } = graph.within(() => {
    const x = types.map(({ shape, dtype }) => graph.input(shape, dtype));
    const { body, inputs } = traceCall('vjp', f, unflatten(flat.structure, x) as readonly unknown[]);
    const yBar = body.outputs.map(({ shape, dtype }) => (dtype === 'int32' ? null : graph.input(shape, dtype)));
    const wrt = types.flatMap(({ dtype }, i) => (dtype === 'int32' ? [] : [i]));
    graph.finish('vjp', graph.emit('call', [...inputs, ...yBar], { transform: 'vjp', wrt }, [body.graph]));
    return body;
  });
  const engine = sharedEngine(target);
  const [forward, backward] = translate(() =>
    engine.session.compileSplit(encodeProgram(graph), target.fuse, types.length, outputs.length),
  );
  return {
    engine,
    forward,
    backward,
    structure,
    outputs: outputs.map(({ shape, dtype }: Value) => ({ shape, dtype })),
  };
}

/**
 * f(x), and the map from a cotangent of f(x) to the cotangents of x: ȳ ↦ J(x)ᵀ ȳ. The forward pass runs once; its residuals belong to
 * the pullback until it is disposed, and a later vjp of the same f does not touch them.
 */
export async function vjp<A extends Args, R>(
  f: (...args: A) => R,
  primals: { [K in keyof A]: Data<A[K]> },
  options?: RunOptions,
): Promise<[value: Result<R>, pullback: Pullback<A, R>]> {
  assertFunction('vjp', 'f', f);
  const run = readRunOptions('vjp', options);
  const target = toTarget('vjp', run);
  const flat = flatten('vjp', asArguments('vjp', 'primals', primals), dataLeaf, 'primals');
  const types = flat.leaves.map((leaf) => leafType('vjp', leaf, target));
  const plan = cachedPlan(f, planKey('vjp', target, flat, types), () => compile(f as Traceable, flat, types, target));
  const inputs = flat.leaves.map((leaf) => leafData(leaf).slice() as NativeArray);
  const request = { keyLow: 0, keyHigh: 0, firstStep: 0, steps: 1 };
  const { outputs } = await plan.engine.enqueue(() => runPlan('vjp', plan.forward, { ...request, inputs }, run.signal));
  const values = plan.outputs.map(({ shape }, i) => Tensor.of(outputs[i] as NativeArray, shape));

  let residuals: readonly NativeArray[] | undefined = outputs.slice(plan.outputs.length);
  const pullback = async (cotangent: unknown): Promise<unknown> => {
    const where = 'vjp pullback';
    if (residuals === undefined) throw new PushforwardError('DISPOSED', where, 'a live pullback', 'a disposed one');
    const yBar = cotangentsOf(where, plan, cotangent, target);
    const all = [...residuals, ...yBar];
    const result = await plan.engine.enqueue(() =>
      runPlan(where, plan.backward, { ...request, inputs: all }, run.signal),
    );
    let next = 0;
    const xBar = types.map(({ shape, dtype }) =>
      dtype === 'int32' ? null : Tensor.of(result.outputs[next++] as NativeArray, shape),
    );
    return unflatten(flat.structure, xBar);
  };
  const dispose = (): void => {
    residuals = undefined;
  };
  Object.assign(pullback, { dispose, [Symbol.dispose]: dispose });
  return [unflatten(plan.structure, values) as Result<R>, pullback as unknown as Pullback<A, R>];
}

/** The cotangents of the real leaves of the value, shapes checked; those of int32 leaves are left out. */
function cotangentsOf(where: string, plan: SplitPlan, cotangent: unknown, target: Target): NativeArray[] {
  const leaves = flattenLike(where, plan.structure, 'the value', cotangent, dataLeaf, 'cotangent');
  return leaves.flatMap((leaf, i) => {
    const expected = plan.outputs[i] as LeafType;
    if (expected.dtype === 'int32') return [];
    const found = leafType(where, leaf, target);
    if (found.dtype === 'int32')
      throw new PushforwardError('DTYPE_MISMATCH', where, `a cotangent of ${expected.dtype}`, 'int32');
    if (found.shape.join() !== expected.shape.join()) {
      const text = (shape: readonly number[]): string => `[${shape.join(', ')}]`;
      throw new PushforwardError(
        'SHAPE_MISMATCH',
        where,
        `a cotangent of shape ${text(expected.shape)}`,
        text(found.shape),
      );
    }
    return [leafData(leaf).slice() as NativeArray];
  });
}
