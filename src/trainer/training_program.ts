// The programs of training: a loss over parameters, its gradient estimate and the updates, in one plan.

import { PushforwardError } from '../errors.ts';
import type { ForwardGradientSettings, GradientEstimator } from '../estimators/gradient.ts';
import type { AdamOptimizer, SgdOptimizer } from '../optimizers.ts';
import type { Body } from '../trace/body.ts';
import { Graph, type ParameterTable, type TraceContext } from '../trace/graph.ts';
import type { Value } from '../trace/value.ts';
import { emitForwardGradient } from '../transforms/forward_gradient.ts';

/** A parameter of the store. */
export interface DeclaredParameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly initializer: string;
}

/** The parameters of a root graph; the same table of declarations serves every program of a trainer. */
export class Parameters implements ParameterTable {
  readonly #root: () => Graph;
  readonly #values = new Map<string, Value>();
  readonly declared: DeclaredParameter[] = [];

  constructor(root: () => Graph) {
    this.#root = root;
  }

  declare(name: string, shape: readonly number[], initializer: string): Value {
    if (this.#values.has(name)) {
      throw new PushforwardError(
        'INVALID_ARGUMENT',
        'parameter',
        'a name declared once in the model (to share weights, use the same layer object twice)',
        `'${name}' again`,
      );
    }
    const value = this.#root().parameter(name, shape);
    this.#values.set(name, value);
    this.declared.push({ name, shape, initializer });
    return value;
  }

  /** The ordinal of a parameter's Value, or -1. */
  ordinalOf(value: Value): number {
    return [...this.#values.values()].indexOf(value);
  }

  values(): readonly Value[] {
    return [...this.#values.values()];
  }
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
  | Extract<GradientEstimator, { kind: 'backprop' }>
  | { readonly kind: 'forwardGradient'; readonly options: ForwardGradientSettings };

/**
 * Emits a training step into a root graph: gradient estimates of the parameters that `body` reads, and their updates. The graph's
 * outputs become the loss and, for forward gradients, c [K].
 */
export function emitTrainingStep(
  graph: Graph,
  parameters: Parameters,
  body: Body,
  inputs: readonly Value[],
  gradient: KnownEstimator,
  optimizer: KnownOptimizer,
): void {
  const wrt = inputs.flatMap((input, i) => (parameters.ordinalOf(input) >= 0 ? [i] : []));
  if (wrt.length === 0) {
    throw new PushforwardError('INVALID_ARGUMENT', 'training', 'a loss that depends on at least one parameter', 'none');
  }
  const ordinals = wrt.map((i) => parameters.ordinalOf(inputs[i] as Value));
  let loss: Value;
  let c: Value | undefined;
  let estimates: readonly Value[];
  if (gradient.kind === 'forwardGradient') {
    const outputs = emitForwardGradient(graph, body, inputs, wrt, ordinals, gradient.options);
    [loss, c] = outputs as [Value, Value];
    estimates = outputs.slice(2);
  } else {
    const one = graph.operand('training', 1);
    const outputs = graph.emit('call', [...inputs, one], { transform: 'vjp', wrt }, [body.graph]);
    loss = outputs[0] as Value;
    estimates = outputs.slice(1);
  }
  const guards = c === undefined ? [loss] : [loss, c];
  for (const [i, index] of wrt.entries()) {
    const name = parameters.declared[ordinals[i] as number]?.name as string;
    emitUpdate(graph, optimizer, name, inputs[index] as Value, estimates[i] as Value, guards);
  }
  graph.finish('training', guards);
}

function emitUpdate(
  graph: Graph,
  optimizer: KnownOptimizer,
  name: string,
  p: Value,
  gradient: Value,
  guards: readonly Value[],
): void {
  const { kind } = optimizer;
  const state = (slot: string): Value => graph.parameter(`state/${slot}/${name}`, p.shape);
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

/** The program that gives every parameter its initial value: stream 1 of the seed, step 0. */
export function initialisationProgram(context: TraceContext, declared: readonly DeclaredParameter[]): Graph {
  const graph = new Graph(context);
  return graph.within(() => {
    for (const [ordinal, { name, shape, initializer }] of declared.entries()) {
      graph.emit('assign', [graph.parameter(name, shape), initialValue(graph, ordinal, shape, initializer)]);
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
