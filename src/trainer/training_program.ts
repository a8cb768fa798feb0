// The programs of training: a loss over parameters, its gradient estimate and the updates, in one plan.

import { PushforwardError } from '../errors.ts';
import type { ForwardGradientSettings, GradientEstimator, SpsaOptions } from '../estimators/gradient.ts';
import type { AdamOptimizer, SgdOptimizer } from '../optimizers.ts';
import type { Body } from '../trace/body.ts';
import { currentGraph, Graph, type ParameterTable, type TraceContext } from '../trace/graph.ts';
import type { Value } from '../trace/value.ts';
import { type EmittedForwardGradient, emitForwardGradient } from '../transforms/forward_gradient.ts';

/** A parameter of the store. */
export interface DeclaredParameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly initializer: string;
  /** Whether products read it, so that the device may lay it out as they do. */
  readonly weight: boolean;
}

/** The parameters and the states of a root graph. */
export class Parameters implements ParameterTable {
  readonly #root: () => Graph;
  readonly #values = new Map<string, Value>();
  readonly #states = new Map<string, Value>();
  readonly #commits = new Map<Value, Value>();
  readonly declared: DeclaredParameter[] = [];
  readonly declaredStates: DeclaredParameter[] = [];

  constructor(root: () => Graph) {
    this.#root = root;
  }

  declare(name: string, shape: readonly number[], initializer: string, weight: boolean): Value {
    if (this.#values.has(name)) {
      throw new PushforwardError(
        'INVALID_ARGUMENT',
        'parameter',
        'a name declared once in the model (to share weights, use the same layer object twice)',
        `'${name}' again`,
      );
    }
    const value = this.#root().parameter(name, shape, weight);
    this.#values.set(name, value);
    this.declared.push({ name, shape, initializer, weight });
    return value;
  }

  declareState(name: string, shape: readonly number[], initializer: 'zeros' | 'ones'): Value {
    if (this.#states.has(name)) {
      throw new PushforwardError(
        'INVALID_ARGUMENT',
        'state',
        'a name declared once in the model (to share state, use the same layer object twice)',
        `'${name}' again`,
      );
    }
    const value = this.#root().parameter(stateSlot(name), shape);
    this.#states.set(name, value);
    this.declaredStates.push({ name, shape, initializer, weight: false });
    return value;
  }

  stateNow(state: Value): Value {
    return this.#commits.get(state) ?? state;
  }

  commit(where: string, state: Value, value: Value): void {
    if (currentGraph(where).parent !== this.#root()) {
      throw new PushforwardError(
        'INVALID_ARGUMENT',
        where,
        'to be called in the model itself in training: its state is written once per step',
        'a call inside a function that the model transforms',
      );
    }
    this.#commits.set(state, value);
  }

  /** What this trace commits so far: [slot, value]. */
  commits(): readonly (readonly [state: Value, value: Value])[] {
    return [...this.#commits];
  }

  /** The ordinal of a parameter's Value, or -1. */
  ordinalOf(value: Value): number {
    return [...this.#values.values()].indexOf(value);
  }

  values(): readonly Value[] {
    return [...this.#values.values()];
  }
}

/** The slot of the store that holds a state of the model. */
function stateSlot(name: string): string {
  return `state/model/${name}`;
}

/** A root graph whose trace may declare parameters. */
export function parameterGraph(context: TraceContext): { graph: Graph; parameters: Parameters } {
  let graph: Graph;
  const parameters = new Parameters(() => graph);
  graph = new Graph({ ...context, parameters });
  return { graph, parameters };
}

/** Optimizers as this module reads them. */
export type KnownOptimizer = SgdOptimizer | AdamOptimizer;

/** Gradient estimators as this module reads them. */
export type KnownEstimator =
  | Extract<GradientEstimator, { kind: 'backprop' | 'spsa' }>
  | { readonly kind: 'forwardGradient'; readonly options: ForwardGradientSettings };

/** A parameter's place in the inputs, its ordinal, its gradient. */
export interface EmittedGradient {
  readonly input: number;
  readonly ordinal: number;
  readonly gradient: Value;
  /** A control variate's slot, and what a step adds to it. */
  readonly variate: { readonly slot: Value; readonly shift: Value } | undefined;
}

/** Gradients of the parameters that a loss reads, as an estimator gives them. */
export interface EmittedGradients {
  /** The outputs of the loss program: the loss, then what else it has. */
  readonly outputs: readonly Value[];
  /** c [K] of forward gradients. */
  readonly c: Value | undefined;
  /** What a projection, clipping or a control variate makes of c, [K]. */
  readonly coefficients: Value | undefined;
  /** Of each parameter that is read. */
  readonly gradients: readonly EmittedGradient[];
}

/**
 * Emits the gradients of `body`, whose first output is the loss, with respect to the parameters among its inputs; `batched` are the inputs
 * with the examples along their first axis.
 */
export function emitGradients(
  graph: Graph,
  parameters: Parameters,
  body: Body,
  inputs: readonly Value[],
  estimator: KnownEstimator,
  batched: readonly number[],
): EmittedGradients {
  const wrt = inputs.flatMap((input, i) => (parameters.ordinalOf(input) >= 0 ? [i] : []));
  if (wrt.length === 0) {
    throw new PushforwardError('INVALID_ARGUMENT', 'training', 'a loss that depends on at least one parameter', 'none');
  }
  const ordinals = wrt.map((i) => parameters.ordinalOf(inputs[i] as Value));
  const varies = estimator.kind === 'forwardGradient' && estimator.options.controlVariate !== undefined;
  const variates = varies ? ordinals.map((ordinal) => variateOf(graph, parameters, ordinal)) : [];
  const emitEstimate = (): EmittedForwardGradient | EmittedReverse => {
    if (estimator.kind === 'backprop') return emitReverse(graph, body, inputs, wrt, estimator.checkpoint);
    if (estimator.kind === 'spsa') return emitSpsa(graph, body, inputs, wrt, ordinals, estimator.options);
    return emitForwardGradient(graph, body, inputs, wrt, ordinals, estimator.options, batched, variates);
  };
  const { gradients, shifts, ...made } = emitEstimate();
  return {
    ...made,
    gradients: wrt.map((input, i) => ({
      input,
      ordinal: ordinals[i] as number,
      gradient: gradients[i] as Value,
      variate: varies ? { slot: variates[i] as Value, shift: shifts[i] as Value } : undefined,
    })),
  };
}

/** The state of a control variate. It lies row by row, as the kernels that read it do, whatever its parameter's layout. */
function variateOf(graph: Graph, { declared }: Parameters, ordinal: number): Value {
  const { name, shape } = declared[ordinal] as DeclaredParameter;
  return graph.parameter(`state/controlVariate/${name}`, shape);
}

/** Differences of two passes. */
function emitSpsa(
  graph: Graph,
  body: Body,
  inputs: readonly Value[],
  wrt: readonly number[],
  parameters: readonly number[],
  { sampler, directions, perturbation }: Readonly<Required<SpsaOptions>>,
): EmittedForwardGradient {
  const law = { sampler: sampler.kind, rank: sampler.rank ?? 1, directions };
  const made = graph.emit('spsa', inputs, { ...law, wrt, parameters, perturbation }, [body.graph]);
  const results = body.outputs.length;
  return {
    outputs: made.slice(0, results),
    c: made[results] as Value,
    coefficients: undefined,
    gradients: made.slice(results + 1),
    shifts: [],
  };
}

/** As of {@link EmittedForwardGradient}. */
interface EmittedReverse extends Omit<EmittedForwardGradient, 'c'> {
  readonly c: undefined;
}

/** The gradient by reverse mode. */
function emitReverse(
  graph: Graph,
  body: Body,
  inputs: readonly Value[],
  wrt: readonly number[],
  checkpoint: boolean | number,
): EmittedReverse {
  const seeds = body.outputs.map((_, i) => (i === 0 ? graph.operand('training', 1) : null));
  const segments = checkpoint === false ? undefined : checkpoint === true ? 0 : checkpoint;
  const made = graph.emit('call', [...inputs, ...seeds], { transform: 'vjp', wrt, segments }, [body.graph]);
  const results = body.outputs.length;
  const none = { c: undefined, coefficients: undefined, shifts: [] };
  return { ...none, outputs: made.slice(0, results), gradients: made.slice(results) };
}

/**
 * Emits a training step into a root graph: gradient estimates of the parameters that `body` reads, and their updates. The outputs of
 * `body` are the loss and the values of `commits`, states of the model in the same order; `batched` are the inputs with the examples along
 * their first axis. The graph's outputs become the loss and, for forward gradients, c [K].
 */
export function emitTrainingStep(
  graph: Graph,
  parameters: Parameters,
  body: Body,
  inputs: readonly Value[],
  gradient: KnownEstimator,
  optimizer: KnownOptimizer,
  commits: readonly Value[] = [],
  batched: readonly number[] = [],
): void {
  const { outputs, c, coefficients, gradients } = emitGradients(graph, parameters, body, inputs, gradient, batched);
  const results = [outputs[0] as Value, c].filter((each) => each !== undefined);
  const guards = [...results, coefficients].filter((each) => each !== undefined);
  for (const { input, ordinal, gradient: estimate } of gradients) {
    const declared = parameters.declared[ordinal] as DeclaredParameter;
    emitUpdate(graph, optimizer, declared, inputs[input] as Value, estimate, guards);
  }
  for (const { variate } of gradients) {
    if (variate === undefined) continue;
    graph.emit('sgd', [variate.slot, null, null, variate.shift, null, null, null, ...guards], { rate: -1 });
  }
  for (const [i, state] of commits.entries()) graph.emit('assign', [state, outputs[1 + i] as Value, ...guards]);
  graph.finish('training', results);
}

function emitUpdate(
  graph: Graph,
  optimizer: KnownOptimizer,
  { name, weight }: DeclaredParameter,
  p: Value,
  gradient: Value,
  guards: readonly Value[],
): void {
  const { kind } = optimizer;
  const state = (slot: string): Value => graph.parameter(`state/${slot}/${name}`, p.shape, weight);
  if (kind === 'sgd') {
    const { momentum, nesterov, weightDecay } = optimizer;
    const first = momentum === 0 ? null : state('momentum');
    graph.emit(kind, [p, first, null, gradient, null, null, null, ...guards], { momentum, nesterov, weightDecay });
  } else {
    const { beta1, beta2, epsilon, weightDecay } = optimizer;
    const attributes = kind === 'adam' ? { beta1, beta2, epsilon } : { beta1, beta2, epsilon, weightDecay };
    graph.emit(kind, [p, state('m'), state('v'), gradient, null, null, null, ...guards], attributes);
  }
}

/** The program that gives every parameter its initial value, stream 1 of the seed, step 0, and every state of the model. */
export function initialisationProgram(
  context: TraceContext,
  declared: readonly DeclaredParameter[],
  states: readonly DeclaredParameter[] = [],
): Graph {
  const graph = new Graph(context);
  return graph.within(() => {
    for (const [ordinal, { name, shape, initializer, weight }] of declared.entries()) {
      graph.emit('assign', [graph.parameter(name, shape, weight), initialValue(graph, ordinal, shape, initializer)]);
    }
    for (const { name, shape, initializer } of states) {
      graph.emit('assign', [graph.parameter(stateSlot(name), shape), initialValue(graph, 0, shape, initializer)]);
    }
    return graph.finish('initialisation', []);
  });
}

function initialValue(graph: Graph, ordinal: number, shape: readonly number[], initializer: string): Value {
  const fanOut = shape.at(-1) ?? 1;
  const fanIn = shape.slice(0, -1).reduce((product, size) => product * size, 1);
  const drawn = (distribution: string, scale: number): Value =>
    graph.emit('random', [], { shape, distribution, parameter: ordinal, stream: 1, fixedStep: 0, scale })[0] as Value;
  if (initializer === 'heNormal') return drawn('gaussian', Math.sqrt(2 / fanIn));
  if (initializer === 'glorotUniform') {
    const limit = Math.sqrt(6 / (fanIn + fanOut));
    return drawn('uniform', 2 * limit).sub(limit);
  }
  return graph.emit('full', [], { shape, value: initializer === 'ones' ? 1 : 0 })[0] as Value;
}
