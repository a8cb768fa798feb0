// minimize: the paper's Algorithm 1, or gradient descent, on any traced scalar function, all steps in one native call.
import { assertFunction, assertInteger, assertSeed, PushforwardError, readOptions, type Seed } from '../errors.ts';
import { type GradientEstimator, notFinite, toGradientEstimator } from '../estimators/gradient.ts';
import { type Optimizer, toOptimizer } from '../optimizers.ts';
import { openSession, type RunOptions, runOptionNames, runPlan, toTarget, translate } from '../plan/engine.ts';
import { ratesFor } from '../schedules.ts';
import { type Leaf, Tensor } from '../tensor.ts';
import { scalarOutput, traceBody } from '../trace/body.ts';
import { encodeProgram } from '../trace/encode.ts';
import type { Value } from '../trace/value.ts';
import {
  emitTrainingStep,
  type KnownEstimator,
  type KnownOptimizer,
  parameterGraph,
} from '../trainer/training_program.ts';
import { type Data, dataLeaf, flatten, leafPaths, type Result, unflatten } from '../tree.ts';
import { leafData, leafType, traceContext } from './execute.ts';

/** Options of {@link minimize}. */
export interface MinimizeOptions extends RunOptions {
  /** Steps to take, an integer from 1 to 1e8. */
  steps: number;
  /** Made by `forwardGradient`, `backprop` or `spsa`. */
  gradient: GradientEstimator;
  /** Made by `sgd`, `adam` or `adamW`. */
  optimizer: Optimizer;
  /** Of the tangents. Default: 0 */
  seed?: Seed;
  /** Keeps the parameters after every so many steps in `path`. Default: none are kept */
  recordEvery?: number;
}

/** What {@link minimize} gives. */
export interface Minimum<P> {
  /** After the last step. */
  parameters: P;
  /** Of every step, before its update. */
  losses: Float64Array;
  /** After every `recordEvery` steps. */
  path: P[];
}

/**
 * Takes `steps` steps from `start` and gives where they led. Leaf j of `start` is parameter j of the random streams.
 *
 * @throws PushforwardError NUMERIC, with the step, when the loss or a directional derivative is not finite; ABORTED; and whatever is
 *   wrong with f, start or the options
 */
export async function minimize<P>(
  f: (parameters: P) => Value,
  start: Data<P>,
  options: MinimizeOptions,
): Promise<Minimum<Result<P>>> {
  const where = 'minimize';
  assertFunction(where, 'f', f);
  const names = [...runOptionNames, 'steps', 'gradient', 'optimizer', 'seed', 'recordEvery'] as const;
  const {
    steps,
    gradient,
    optimizer,
    seed = 0,
    recordEvery,
    ...run
  } = readOptions<MinimizeOptions>(where, options, names);
  assertInteger(where, 'steps', steps, 1, 1e8); // a rate, a loss and what is recorded of each are kept
  if (recordEvery !== undefined) assertInteger(where, 'recordEvery', recordEvery, 1, 1e9);
  const estimator = toGradientEstimator(where, 'gradient', gradient) as KnownEstimator;
  const rule = toOptimizer(where, 'optimizer', optimizer) as KnownOptimizer;
  const [keyLow, keyHigh] = assertSeed(where, 'seed', seed);
  const target = toTarget(where, run as RunOptions);
  const { signal } = run as RunOptions;

  const flat = flatten<Leaf>(where, start, dataLeaf, 'start');
  const types = flat.leaves.map((leaf) => leafType(where, leaf, target));
  const paths = leafPaths(flat.structure, 'start');
  for (const [i, { dtype }] of types.entries()) {
    if (dtype === 'int32')
      throw new PushforwardError('NOT_DIFFERENTIABLE', where, `${paths[i]} to be real`, 'an int32 leaf');
  }
  const { graph, parameters } = parameterGraph(traceContext(target, true));
  graph.within(() => {
    const values = types.map(({ shape }, i) => parameters.declare(paths[i] as string, shape, 'zeros', false));
    const structure = { kind: 'array', items: [flat.structure] } as const;
    // Without the table of parameters: f gets its parameters as arguments, and declares none of its own.
    const { parameters: _, ...context } = graph.context;
    const body = traceBody(where, f as (...args: never[]) => unknown, structure, values, context, graph);
    scalarOutput(where, body);
    emitTrainingStep(graph, parameters, body, [...values, ...body.graph.captured], estimator, rule);
  });

  const session = openSession(target);
  try {
    const plan = translate(() => session.compile(encodeProgram(graph), target.fuse));
    for (const [i, leaf] of flat.leaves.entries()) translate(() => session.write(paths[i] as string, leafData(leaf)));
    const rates = ratesFor(rule.learningRate, 0, steps);
    const record = recordEvery === undefined ? {} : { recordEvery, recordNames: paths };
    const result = await runPlan(
      where,
      plan,
      { inputs: [], keyLow, keyHigh, firstStep: 0, steps, rates, ...record },
      signal,
    );
    if (result.numericStep >= 0) throw notFinite(where, estimator, result.numericStep);
    const tree = (leaf: (name: string, i: number) => Tensor): Result<P> =>
      unflatten(flat.structure, paths.map(leaf)) as Result<P>;
    const shapeOf = (i: number): readonly number[] => types[i]?.shape ?? [];
    const records = recordEvery === undefined ? 0 : Math.floor(steps / recordEvery);
    return {
      parameters: tree((name, i) => Tensor.of(session.read(name), shapeOf(i))),
      losses: Float64Array.from(result.outputs[0] ?? []),
      path: Array.from({ length: records }, (_, r) =>
        tree((_name, i) => {
          const data = result.recorded[i] as Float32Array;
          const size = data.length / records;
          return Tensor.of(data.slice(r * size, (r + 1) * size), shapeOf(i));
        }),
      ),
    };
  } finally {
    session.dispose();
  }
}
