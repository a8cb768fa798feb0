// From a function on Values to a function on data: trace once per (f, shapes, dtypes, options), compile, replay.
import { describe, PushforwardError } from '../errors.ts';
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
import { dtypeOf, type Leaf, Tensor, toTensor } from '../tensor.ts';
import { traceBody } from '../trace/body.ts';
import { encodeProgram } from '../trace/encode.ts';
import { isTracing, type TraceContext } from '../trace/graph.ts';
import { Value } from '../trace/value.ts';
import { dataLeaf, type Flat, flatten, type Structure, signature, unflatten } from '../tree.ts';

/** A leaf of data as the plan sees it. */
export interface LeafType {
  readonly shape: readonly number[];
  readonly dtype: 'float32' | 'float64' | 'int32';
}

/** What kind of leaf a piece of data is on a device; DTYPE_MISMATCH for float64 away from `reference`. */
export function leafType(where: string, leaf: Leaf, target: Target): LeafType {
  const real = target.device === 'reference' ? 'float64' : 'float32';
  if (typeof leaf === 'number') return { shape: [], dtype: real };
  toTensor(where, 'a Tensor', leaf); // refuses one whose buffer was transferred
  const [dtype, shape] = leaf instanceof Tensor ? [leaf.dtype, leaf.shape] : [dtypeOf(leaf), [leaf.length]];
  if (dtype === 'float64' && real !== 'float64') {
    throw new PushforwardError(
      'DTYPE_MISMATCH',
      where,
      "float32 or int32 data (float64 needs device: 'reference')",
      describe(leaf),
    );
  }
  return { shape, dtype: dtype === 'int32' ? 'int32' : real };
}

/** The numbers of a leaf. */
export function leafData(leaf: Leaf): NativeArray {
  if (typeof leaf === 'number') return Float64Array.of(leaf);
  return leaf instanceof Tensor ? leaf.data : leaf;
}

/** A compiled function of data. */
interface CachedPlan {
  readonly plan: NativePlan;
  readonly engine: Engine;
  readonly structure: Structure;
  readonly shapes: readonly (readonly number[])[];
}

/** How a call is traced and run. */
export interface Execution {
  readonly where: string;
  /** The user's function: plans are cached on it. */
  readonly f: (...args: never[]) => unknown;
  /** What distinguishes this use of f from others: the transformation and its options. */
  readonly key: string;
  /** On Values: what is compiled. */
  readonly onValues: (...args: never[]) => unknown;
  readonly options: RunOptions;
  readonly seed?: readonly [low: number, high: number];
  readonly step?: number;
}

/** The context of a trace for a target. */
export function traceContext(target: Target, training = false): TraceContext {
  return { real: target.device === 'reference' ? 'float64' : 'float32', training };
}

function compile(
  { where, onValues }: Execution,
  flat: Flat<Leaf>,
  types: readonly LeafType[],
  target: Target,
): CachedPlan {
  const body = traceBody(where, onValues, flat.structure, types, traceContext(target));
  const engine = sharedEngine(target);
  const plan = translate(() => engine.session.compile(encodeProgram(body.graph), target.fuse));
  return { plan, engine, structure: body.structure, shapes: body.outputs.map(({ shape }) => shape) };
}

/** What a plan of a function of data depends on besides the function: the use, the target, and the form of the arguments. */
export function planKey(use: string, target: Target, flat: Flat<Leaf>, types: readonly LeafType[]): string {
  const { device, precision, isa, threads, fuse } = target;
  const leaves = types.map(({ shape, dtype }) => `${dtype}[${shape}]`);
  return [use, device, precision, isa, threads, fuse, signature(flat.structure), ...leaves].join('|');
}

/** A cache of what was compiled for a function: it goes when the function does. */
export function planCache<T>(): (f: object, key: string, make: () => T) => T {
  const byFunction = new WeakMap<object, Map<string, T>>();
  return (f, key, make) => {
    let known = byFunction.get(f);
    if (known === undefined) {
      known = new Map();
      byFunction.set(f, known);
    }
    let cached = known.get(key);
    if (cached === undefined) {
      cached = make();
      known.set(key, cached);
    }
    return cached;
  };
}

const cachedPlan = planCache<CachedPlan>();

/** Runs onValues on data: a tree of Tensors like what it returned. */
export async function execute(execution: Execution, args: readonly unknown[]): Promise<unknown> {
  const { where, options, seed = [0, 0], step = 0 } = execution;
  const target = toTarget(where, options);
  const flat = flatten(where, args, dataLeaf, 'arguments');
  const types = flat.leaves.map((leaf) => leafType(where, leaf, target));
  const cached = cachedPlan(execution.f, planKey(execution.key, target, flat, types), () =>
    compile(execution, flat, types, target),
  );
  // The caller may change its arrays as soon as this call has returned.
  const inputs = flat.leaves.map((leaf) => leafData(leaf).slice() as NativeArray);
  const result = await cached.engine.enqueue(() =>
    runPlan(
      where,
      cached.plan,
      { inputs, keyLow: seed[0], keyHigh: seed[1], firstStep: step, steps: 1 },
      options.signal,
    ),
  );
  const tensors = result.outputs.map((data, i) => Tensor.of(data, cached.shapes[i] as readonly number[]));
  return unflatten(cached.structure, tensors);
}

/** Whether a call belongs to a trace in progress rather than to data. */
export function onValuesNow(args: readonly unknown[]): boolean {
  return isTracing() || args.some((arg) => arg instanceof Value);
}
