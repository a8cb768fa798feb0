// forwardGrad: the paper's estimate of a gradient as a function of data.
import {
  assertFunction,
  assertInteger,
  assertSeed,
  describe,
  PushforwardError,
  readOptions,
  type Seed,
} from '../errors.ts';
import {
  type ForwardGradientOptions,
  type ForwardGradientSettings,
  forwardGradientOptionNames,
  readForwardGradient,
} from '../estimators/gradient.ts';
import { type RunOptions, runOptionNames } from '../plan/engine.ts';
import type { Tensor } from '../tensor.ts';
import { type Body, scalarOutput } from '../trace/body.ts';
import type { Graph } from '../trace/graph.ts';
import type { Value } from '../trace/value.ts';
import { type Data, type Result, type Structure, unflatten } from '../tree.ts';
import { type Called, rangeOf, type Traceable, traceCall } from './call.ts';
import { execute } from './execute.ts';
import type { Args, GradOptions } from './transforms.ts';

/** What one call of a {@link forwardGrad} function gives. */
export interface ForwardGradientResult<G> {
  /** The value of f. */
  value: Tensor;
  /** The estimate (1/K) Σ c_k v_k, like the argument. */
  gradient: G;
  /** c_k = ∇f·v_k, one per direction. */
  directionalDerivatives: number[];
  /** The step at which the directions were drawn. */
  step: number;
}

/** The node of an estimator: the rewrite that expands it. */
function nodeOf({ perturb, perExample }: ForwardGradientSettings): string {
  if (perturb === 'activations') return 'activityGradient';
  return perExample ? 'exampleGradient' : 'forwardGradient';
}

/** What an estimator's node gives. */
export interface EmittedEstimate {
  /** The outputs of the body: the losses, then what else it has. */
  readonly outputs: readonly Value[];
  /** c_k = ∇f·v_k, [K], one for each loss */
  readonly c: readonly Value[];
  /** c′ [K] where the estimate is (1/K) Σ c′_k v_k: a projection, or clipped. */
  readonly coefficients: Value | undefined;
  /** The estimates, like `wrt`. */
  readonly gradients: readonly Value[];
  /** With a control variate s: what is to be added to it, like `wrt`. */
  readonly shifts: readonly Value[];
}

/**
 * Emits an estimator's node. `parameters`: the ordinal of each of wrt; `batched`: the inputs that have the examples along their first axis;
 * `losses`: how many outputs of `body` are; `variates`: the control variate's s for each of wrt.
 */
export function emitForwardGradient(
  graph: Graph,
  body: Body,
  inputs: readonly Value[],
  wrt: readonly number[],
  parameters: readonly number[],
  settings: ForwardGradientSettings,
  batched: readonly number[] = [],
  losses = 1,
  variates: readonly Value[] = [],
): EmittedEstimate {
  const { sampler, directions, exactLast, combine, clip, controlVariate } = settings;
  const project = combine === 'projection';
  const node = nodeOf(settings);
  const attributes = {
    sampler: sampler.kind,
    rank: sampler.rank ?? 1,
    directions,
    wrt,
    parameters,
    ...(node === 'forwardGradient' ? {} : { batched }),
    ...(exactLast ? { exactLast } : {}),
    ...(losses > 1 ? { losses } : {}),
    ...(project ? { project } : {}),
    ...(clip === undefined ? {} : { clip }),
    ...(controlVariate === undefined ? {} : { controlVariate: controlVariate.momentum }),
  };
  const made = graph.emit(node, [...inputs, ...variates], attributes, [body.graph]);
  const results = body.outputs.length;
  const combined = project || clip !== undefined || controlVariate !== undefined;
  const first = results + losses + (combined ? 1 : 0);
  return {
    outputs: made.slice(0, results),
    c: made.slice(results, results + losses),
    coefficients: combined ? made[results + losses] : undefined,
    gradients: made.slice(first, first + wrt.length),
    shifts: made.slice(first + wrt.length),
  };
}

/** Of f's arguments, the leaves outside [start, end) that have an axis: data, the examples along the first axis. */
function dataArguments({ inputs, ranges }: Called, start: number, end: number): number[] {
  const leaves = ranges.at(-1)?.[1] ?? 0;
  return Array.from({ length: leaves }, (_, i) => i).filter(
    (i) => (i < start || i >= end) && (inputs[i] as Value).shape.length > 0,
  );
}

/**
 * An unbiased estimate of the gradient of a scalar function from forward passes alone: (1/K) Σ_k (∇f·v_k) v_k (Baydin et al. 2022). Call i of
 * the returned function draws at step `firstStep + i`: a new direction each call, repeatable by seed and firstStep. Leaf j of the
 * argument is parameter j of the random streams. With noise for each example (perturb 'activations', perExample) every other argument of
 * at least one axis is data, the examples along its first axis, and f ends in the mean or the sum over them.
 */
export function forwardGrad<A extends Args>(
  f: (...args: A) => Value,
  options?: GradOptions & ForwardGradientOptions & { seed?: Seed; firstStep?: number },
): (...args: { [K in keyof A]: Data<A[K]> }) => Promise<ForwardGradientResult<Result<A[0]>>> {
  assertFunction('forwardGrad', 'f', f);
  type All = GradOptions & ForwardGradientOptions & { seed?: Seed; firstStep?: number };
  const names: readonly (keyof All & string)[] = [
    ...runOptionNames,
    ...forwardGradientOptionNames,
    'argnums',
    'seed',
    'firstStep',
  ];
  const given = readOptions<All>('forwardGrad', options, names);
  const { argnums: argnum = 0, seed = 0, firstStep = 0 } = given;
  assertInteger('forwardGrad', 'argnums', argnum, 0, 255);
  assertInteger('forwardGrad', 'firstStep', firstStep, 0, 2 ** 32 - 1);
  const key = assertSeed('forwardGrad', 'seed', seed);
  const pick = (from: readonly string[]): object =>
    Object.fromEntries(Object.entries(given).filter(([name]) => from.includes(name)));
  const settings = readForwardGradient('forwardGrad', pick(forwardGradientOptionNames));
  if (settings.controlVariate !== undefined) {
    const expected = 'no controlVariate, whose state a Trainer or minimize keeps,';
    throw new PushforwardError('INVALID_ARGUMENT', 'forwardGrad', expected, describe(settings.controlVariate));
  }
  const run = pick(runOptionNames) as RunOptions;

  const onValues = (...args: never[]): unknown => {
    const called = traceCall('forwardGrad', f as Traceable, args);
    scalarOutput('forwardGrad', called.body);
    const [start, end] = rangeOf('forwardGrad', called, argnum);
    const wrt = Array.from({ length: end - start }, (_, i) => start + i);
    const { outputs, c, coefficients, gradients } = emitForwardGradient(
      called.graph,
      called.body,
      called.inputs,
      wrt,
      wrt.map((_, i) => i),
      settings,
      dataArguments(called, start, end),
    );
    const gradient = unflatten(called.structures[argnum] as Structure, gradients);
    return { value: outputs[0], c: c[0], gradient, coefficients: coefficients ?? c[0] };
  };
  const planKey = `forwardGrad ${argnum} ${JSON.stringify(settings)}`;
  let next = firstStep;
  return async (...args) => {
    const step = next++;
    assertInteger('forwardGrad', 'firstStep plus the calls before', step, 0, 2 ** 32 - 1);
    const execution = {
      where: 'forwardGrad',
      f: f as Traceable,
      key: planKey,
      onValues,
      options: run,
      seed: key,
      step,
    };
    const { value, c, gradient, coefficients } = (await execute(execution, args)) as {
      value: Tensor;
      c: Tensor;
      gradient: Result<A[0]>;
      coefficients: Tensor;
    };
    if (settings.combine === 'projection' && c.data.every(Number.isFinite) && coefficients.data.some(Number.isNaN)) {
      const expected = "independent directions with combine: 'projection'";
      throw new PushforwardError('NUMERIC', 'forwardGrad', expected, `directions that are not at step ${step}`);
    }
    return { value, gradient, directionalDerivatives: [...c.data], step };
  };
}
