// The programs of training: a loss over parameters, its gradient estimate and the updates, in one plan.

import { PushforwardError } from '../errors.ts';
import type { ForwardGradientSettings, GradientEstimator, SpsaOptions } from '../estimators/gradient.ts';
import type { AdamOptimizer, SgdOptimizer } from '../optimizers.ts';
import type { Body } from '../trace/body.ts';
import { currentGraph, Graph, type ParameterTable, type TraceContext } from '../trace/graph.ts';
import type { Value } from '../trace/value.ts';
import { type EmittedEstimate, emitForwardGradient } from '../transforms/forward_gradient.ts';

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
  readonly #predictions: Value[] = [];
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
    this.#assertInModel(where, 'its state is written once per step');
    this.#commits.set(state, value);
  }

  addPrediction(where: string, prediction: Value): void {
    this.#assertInModel(where, 'its loss is one of the step');
    this.#predictions.push(prediction);
  }

  #assertInModel(where: string, why: string): void {
    if (currentGraph(where).parent === this.#root()) return;
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      where,
      `to be called in the model itself in training: ${why}`,
      'a call inside a function that the model transforms',
    );
  }

  /** Those of this trace so far. */
  predictions(): readonly Value[] {
    return [...this.#predictions];
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
  /** The outputs of the loss program: the losses, then what else it has. */
  readonly outputs: readonly Value[];
  /** c [K] of forward gradients, one for each loss; empty under backprop. */
  readonly c: readonly Value[];
  /** What a projection, clipping or a control variate makes of c, [K]. */
  readonly coefficients: Value | undefined;
  /** Of each parameter that is read. */
  readonly gradients: readonly EmittedGradient[];
}

/**
 * Emits the gradients of `body`, whose first `losses` outputs are losses that are summed, with respect to the parameters among its inputs;
 * `batched` are the inputs with the examples along their first axis.
 */
export function emitGradients(
  graph: Graph,
  parameters: Parameters,
  body: Body,
  inputs: readonly Value[],
  estimator: KnownEstimator,
  batched: readonly number[],
  losses: number,
): EmittedGradients {
  const wrt = inputs.flatMap((input, i) => (parameters.ordinalOf(input) >= 0 ? [i] : []));
  if (wrt.length === 0) {
    throw new PushforwardError('INVALID_ARGUMENT', 'training', 'a loss that depends on at least one parameter', 'none');
  }
  const ordinals = wrt.map((i) => parameters.ordinalOf(inputs[i] as Value));
  const varies = estimator.kind === 'forwardGradient' && estimator.options.controlVariate !== undefined;
  const variates = varies ? ordinals.map((ordinal) => variateOf(graph, parameters, ordinal)) : [];
  const emitEstimate = (): EmittedEstimate => {
    if (estimator.kind === 'backprop') return emitReverse(graph, body, inputs, wrt, estimator.checkpoint, losses);
    if (estimator.kind === 'spsa') return emitSpsa(graph, body, inputs, wrt, ordinals, estimator.options, losses);
    return emitForwardGradient(graph, body, inputs, wrt, ordinals, estimator.options, batched, losses, variates);
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
  losses: number,
): EmittedEstimate {
  const law = { sampler: sampler.kind, rank: sampler.rank ?? 1, directions };
  const several = losses > 1 ? { losses } : {};
  const made = graph.emit('spsa', inputs, { ...law, ...several, wrt, parameters, perturbation }, [body.graph]);
  const results = body.outputs.length;
  return {
    outputs: made.slice(0, results),
    c: made.slice(results, results + losses),
    coefficients: undefined,
    gradients: made.slice(results + losses),
    shifts: [],
  };
}

/** The gradient by reverse mode. */
function emitReverse(
  graph: Graph,
  body: Body,
  inputs: readonly Value[],
  wrt: readonly number[],
  checkpoint: boolean | number,
  losses: number,
): EmittedEstimate {
  const seeds = body.outputs.map((_, i) => (i < losses ? graph.operand('training', 1) : null));
  const segments = checkpoint === false ? undefined : checkpoint === true ? 0 : checkpoint;
  const made = graph.emit('call', [...inputs, ...seeds], { transform: 'vjp', wrt, segments }, [body.graph]);
  const results = body.outputs.length;
  return {
    c: [],
    coefficients: undefined,
    shifts: [],
    outputs: made.slice(0, results),
    gradients: made.slice(results),
  };
}

/**
 * Emits a training step into a root graph: gradient estimates of the parameters that `body` reads, and their updates. The outputs of
 * `body` are the losses and the values of `commits`, states of the model in the same order; `batched` are the inputs with the examples along
 * their first axis. The graph's outputs become the loss, or all losses [L], and, for forward gradients, c [K], or [L · K], the losses one
 * after the other.
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
  losses = 1,
): void {
  const made = emitGradients(graph, parameters, body, inputs, gradient, batched, losses);
  const { outputs, c, coefficients, gradients } = made;
  const results = [outputs.slice(0, losses), c].filter((each) => each.length > 0).map((each) => joined(graph, each));
  const guards = coefficients === undefined ? results : [...results, coefficients];
  for (const { input, ordinal, gradient: estimate } of gradients) {
    const declared = parameters.declared[ordinal] as DeclaredParameter;
    emitUpdate(graph, optimizer, declared, inputs[input] as Value, estimate, guards);
  }
  for (const { variate } of gradients) {
    if (variate === undefined) continue;
    graph.emit('sgd', [variate.slot, null, null, variate.shift, null, null, null, ...guards], { rate: -1 });
  }
  for (const [i, state] of commits.entries()) graph.emit('assign', [state, outputs[losses + i] as Value, ...guards]);
  graph.finish('training', results);
}

/** Operands of concat. */
const mostJoined = 16;

/** One value as it is; several end to end, as many at a time as concat takes. */
function joined(graph: Graph, values: readonly Value[]): Value {
  if (values.length === 1) return values[0] as Value;
  const rows = values.map((value) => (value.shape.length === 0 ? value.reshape([1]) : value));
  const parts = Array.from({ length: Math.ceil(rows.length / mostJoined) }, (_, i) => {
    const part = rows.slice(i * mostJoined, (i + 1) * mostJoined);
    return part.length === 1 ? (part[0] as Value) : (graph.emit('concat', part, { axis: 0 })[0] as Value);
  });
  return joined(graph, parts);
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
    const { momentum, nesterov, weightDecay, mergeEvery } = optimizer;
    const first = momentum === 0 ? null : state('momentum');
    const rule = { momentum, nesterov, weightDecay, ...(mergeEvery > 1 ? { mergeEvery } : {}) };
    graph.emit(kind, [p, first, null, gradient, null, null, null, ...guards], rule);
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
