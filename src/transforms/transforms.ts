// The transformations: evaluate, grad, valueAndGrad, jvp, vjp, hvp, jacfwd, jacrev. Each is a function on Values; given data, that
// function is compiled and run.
import { assertFunction, assertInteger, describe, describeShape, PushforwardError, readOptions } from '../errors.ts';
import { reshape, transpose } from '../ops/shape.ts';
import { type RunOptions, runOptionNames } from '../plan/engine.ts';
import { type Leaf, type Tensor, tensor } from '../tensor.ts';
import { operandLeaf } from '../trace/body.ts';
import { currentGraph } from '../trace/graph.ts';
import { Value } from '../trace/value.ts';
import { type Data, dataLeaf, flatten, flattenLike, type LeafKind, type Result } from '../tree.ts';
import { gradCall, inlineCall, jvpCall, type Traceable, traceCall } from './call.ts';
import { execute, onValuesNow } from './execute.ts';

/** Arguments of a traced function. */
export type Args = readonly unknown[];

/** A transformed function. Given Values (inside another traced function): Values, at once. Given data: a promise of Tensors. */
export interface Transformed<A extends Args, R> {
  (...args: A): R;
  (...args: { [K in keyof A]: Data<A[K]> }): Promise<Result<R>>;
}

/** Options of the transformations that differentiate with respect to one argument. */
export interface GradOptions extends RunOptions {
  /** The argument, counted from 0; it may be a tree. Default: 0 */
  argnums?: number;
}

/** Options of a call that computes. */
export function readRunOptions(where: string, options: unknown): RunOptions {
  return readOptions<RunOptions>(where, options, runOptionNames) as RunOptions;
}

function readGradOptions(where: string, options: unknown): { argnum: number; run: RunOptions } {
  const { argnums = 0, ...run } = readOptions<GradOptions>(where, options, [...runOptionNames, 'argnums']);
  assertInteger(where, 'argnums', argnums, 0, 255);
  return { argnum: argnums, run: run as RunOptions };
}

function transformed<A extends Args, R>(
  where: string,
  f: Traceable,
  key: string,
  options: RunOptions,
  onValues: Traceable,
): Transformed<A, R> {
  return ((...args: never[]) =>
    onValuesNow(args)
      ? onValues(...args)
      : execute({ where, f, key, onValues, options }, args)) as unknown as Transformed<A, R>;
}

/** f itself, compiled: on data, a promise of its result. f runs once per shapes and dtypes of its arguments. */
export function evaluate<A extends Args, R>(f: (...args: A) => R, options?: RunOptions): Transformed<A, R> {
  assertFunction('evaluate', 'f', f);
  const onValues = (...args: never[]): unknown => inlineCall('evaluate', f as Traceable, args);
  return transformed('evaluate', f as Traceable, 'evaluate', readRunOptions('evaluate', options), onValues);
}

/** The gradient of a scalar function with respect to one argument (a tree: like that argument), by reverse mode. */
export function grad<A extends Args>(f: (...args: A) => Value, options?: GradOptions): Transformed<A, A[0]> {
  assertFunction('grad', 'f', f);
  const { argnum, run } = readGradOptions('grad', options);
  const onValues = (...args: never[]): unknown => gradCall('grad', f as Traceable, args, argnum)[1];
  return transformed('grad', f as Traceable, `grad ${argnum}`, run, onValues);
}

/** The value and the gradient of a scalar function, from one pass forward and one back. */
export function valueAndGrad<A extends Args>(
  f: (...args: A) => Value,
  options?: GradOptions,
): Transformed<A, [value: Value, gradient: A[0]]> {
  assertFunction('valueAndGrad', 'f', f);
  const { argnum, run } = readGradOptions('valueAndGrad', options);
  const onValues = (...args: never[]): unknown => gradCall('valueAndGrad', f as Traceable, args, argnum);
  return transformed('valueAndGrad', f as Traceable, `valueAndGrad ${argnum}`, run, onValues);
}

function isOrNull<L>(kind: LeafKind<L>): LeafKind<L | null> {
  return {
    isLeaf: (value): value is L | null => value === null || kind.isLeaf(value),
    words: `${kind.words}, or null for no tangent`,
  };
}

/** One entry per argument. */
export function asArguments(where: string, name: string, value: unknown): readonly unknown[] {
  if (!Array.isArray(value))
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      where,
      `${name} to be an array, one entry per argument`,
      describe(value),
    );
  return value;
}

/** A null where a whole argument or a leaf has no tangent; else one tangent per leaf of the primals. */
function flattenTangents<L>(
  where: string,
  primals: readonly unknown[],
  tangents: readonly unknown[],
  kind: LeafKind<L>,
): (L | null)[] {
  if (tangents.length !== primals.length) {
    throw new PushforwardError(
      'SHAPE_MISMATCH',
      where,
      `${primals.length} tangents, one per argument`,
      String(tangents.length),
    );
  }
  return primals.flatMap((primal, i) => {
    const { leaves, structure } = flatten(where, primal, kind, `primals[${i}]`);
    if (tangents[i] === null) return leaves.map(() => null);
    return flattenLike(where, structure, 'the primals', tangents[i], isOrNull(kind), `tangents[${i}]`);
  });
}

function jvpOnValues(f: Traceable, primals: readonly unknown[], tangents: readonly unknown[]): unknown {
  const graph = currentGraph('jvp');
  const flat = flattenTangents('jvp', primals, tangents, operandLeaf);
  const values = flat.map((tangent) => (tangent === null ? null : graph.operand('jvp', tangent)));
  return jvpCall('jvp', f, primals, values);
}

/**
 * f and its directional derivative: [f(x), J(x) ẋ] in one forward pass. `tangents` are shaped like the primals; null stands for no
 * tangent, and an int32 primal takes no other.
 */
export function jvp<A extends Args, R>(f: (...args: A) => R, primals: A, tangents: A): [value: R, tangent: R];
/** On data: a promise. */
export function jvp<A extends Args, R>(
  f: (...args: A) => R,
  primals: { [K in keyof A]: Data<A[K]> },
  tangents: { [K in keyof A]: Data<A[K]> | null },
  options?: RunOptions,
): Promise<[value: Result<R>, tangent: Result<R>]>;
export function jvp(
  f: Traceable,
  primals: readonly unknown[],
  tangents: readonly unknown[],
  options?: RunOptions,
): unknown {
  assertFunction('jvp', 'f', f);
  const x = asArguments('jvp', 'primals', primals);
  const xDot = asArguments('jvp', 'tangents', tangents);
  if (onValuesNow(x) || onValuesNow(xDot)) return jvpOnValues(f, x, xDot);
  return jvpOnData(f, x, xDot, readRunOptions('jvp', options));
}

async function jvpOnData(
  f: Traceable,
  primals: readonly unknown[],
  tangents: readonly unknown[],
  options: RunOptions,
): Promise<unknown> {
  const flat = flattenTangents<Leaf>('jvp', primals, tangents, dataLeaf);
  const present = flat.map((tangent) => tangent !== null);
  const given = flat.filter((tangent) => tangent !== null);
  const onValues = (x: readonly Value[], xDot: readonly Value[]): unknown => {
    let next = 0;
    const all = present.map((is) => (is ? (xDot[next++] as Value) : null));
    return jvpCall('jvp', f, x, all);
  };
  const key = `jvp ${present.map(Number).join('')}`;
  return execute({ where: 'jvp', f, key, onValues: onValues as Traceable, options }, [primals, given]);
}

/** The Hessian of a scalar function times a vector: jvp of grad, for all arguments. */
export async function hvp<A extends Args>(
  f: (...args: A) => Value,
  primals: { [K in keyof A]: Data<A[K]> },
  tangents: { [K in keyof A]: Data<A[K]> },
  options?: RunOptions,
): Promise<Result<A>> {
  assertFunction('hvp', 'f', f);
  const run = readRunOptions('hvp', options);
  const x = asArguments('hvp', 'primals', primals);
  const xDot = asArguments('hvp', 'tangents', tangents);
  flattenTangents<Leaf>('hvp', x, xDot, dataLeaf);
  const onValues = (args: readonly unknown[], dots: readonly unknown[]): unknown => {
    const all = (...inner: never[]): unknown =>
      gradCall('hvp', (packed: never) => (f as Traceable)(...(packed as never[])), [inner], 0)[1];
    return (jvpOnValues(all as Traceable, args, dots) as [unknown, unknown])[1];
  };
  return (await execute(
    { where: 'hvp', f: f as Traceable, key: 'hvp', onValues: onValues as Traceable, options: run },
    [x, xDot],
  )) as Result<A>;
}

/** The single real leaf that a Jacobian is taken of. */
function jacobianArgument(where: string, args: readonly unknown[], argnum: number): Value {
  if (argnum >= args.length) {
    throw new PushforwardError('INVALID_ARGUMENT', where, `argnums below the ${args.length} arguments`, String(argnum));
  }
  const arg = args[argnum];
  if (!operandLeaf.isLeaf(arg)) {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      where,
      `argument ${argnum} to be one tensor, not a tree`,
      describe(arg),
    );
  }
  const x = currentGraph(where).operand(where, arg);
  if (x.dtype === 'int32')
    throw new PushforwardError('NOT_DIFFERENTIABLE', where, `argument ${argnum} to be real`, describe(x));
  return x;
}

/** The identity as n directions [n, ...shape]. */
function identity(shape: readonly number[]): Tensor {
  const n = shape.reduce((product, size) => product * size, 1);
  if (n * n > 2 ** 28) {
    throw new PushforwardError(
      'OUT_OF_MEMORY',
      'jacobian',
      'at most 16,384 elements to differentiate by',
      describeShape(shape),
    );
  }
  const data = new Float32Array(n * n);
  for (let i = 0; i < n; i++) data[i * n + i] = 1;
  return tensor(data, [n, ...shape]);
}

function oneOutput(where: string, output: unknown): Value {
  if (output instanceof Value && output.dtype !== 'int32') return output;
  throw new PushforwardError('INVALID_ARGUMENT', where, 'a function that returns one real Value', describe(output));
}

/** The Jacobian by forward mode, all columns in one pass: out.shape + in.shape. Right where inputs are fewer than outputs. */
export function jacfwd<A extends Args>(f: (...args: A) => Value, options?: GradOptions): Transformed<A, Value> {
  assertFunction('jacfwd', 'f', f);
  const { argnum, run } = readGradOptions('jacfwd', options);
  const onValues = (...args: never[]): unknown => {
    const x = jacobianArgument('jacfwd', args, argnum);
    const inner = (value: never): unknown =>
      (f as Traceable)(...(args.map((arg, i) => (i === argnum ? value : arg)) as never[]));
    const n = x.shape.reduce((product, size) => product * size, 1);
    const basis = currentGraph('jacfwd').operand('jacfwd', identity(x.shape));
    const [value, tangent] = jvpCall('jacfwd', inner, [x], [basis], n);
    const out = oneOutput('jacfwd', value).shape;
    const columns = tangent as Value;
    return reshape(transpose(columns, [...out.map((_, i) => i + 1), 0]), [...out, ...x.shape]);
  };
  return transformed('jacfwd', f as Traceable, `jacfwd ${argnum}`, run, onValues);
}

/** The Jacobian by reverse mode, all rows in one pass: out.shape + in.shape. Right where outputs are fewer than inputs. */
export function jacrev<A extends Args>(f: (...args: A) => Value, options?: GradOptions): Transformed<A, Value> {
  assertFunction('jacrev', 'f', f);
  const { argnum, run } = readGradOptions('jacrev', options);
  const onValues = (...args: never[]): unknown => {
    const x = jacobianArgument('jacrev', args, argnum);
    const inner = (value: never): unknown =>
      (f as Traceable)(...(args.map((arg, i) => (i === argnum ? value : arg)) as never[]));
    const out = oneOutput('jacrev', inlineCall('jacrev', inner, [x])).shape;
    const m = out.reduce((product, size) => product * size, 1);
    // The pullback is linear in ȳ, so its jvp along the identity is the whole of Jᵀ: m rows at once.
    const pullback = (yBar: never): unknown => {
      const { graph, body, inputs } = traceCall('jacrev', inner, [x]);
      return graph.emit('call', [...inputs, yBar], { transform: 'vjp', wrt: [0] }, [body.graph]).at(-1);
    };
    const graph = currentGraph('jacrev');
    const zero = graph.emit('full', [], { shape: out, value: 0 })[0] as Value;
    const rows = jvpCall('jacrev', pullback, [zero], [graph.operand('jacrev', identity(out))], m)[1] as Value;
    return reshape(rows, [...out, ...x.shape]);
  };
  return transformed('jacrev', f as Traceable, `jacrev ${argnum}`, run, onValues);
}
