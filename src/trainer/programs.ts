// The three programs of a trainer: predict, evaluate, train.
import { describeShape, PushforwardError } from '../errors.ts';
import type { Model } from '../nn/index.ts';
import { mean } from '../ops/reduce.ts';
import { type Body, traceBody } from '../trace/body.ts';
import type { Graph, TraceContext } from '../trace/graph.ts';
import { Value } from '../trace/value.ts';
import type { Loss, TargetForm } from './core.ts';
import {
  type DeclaredParameter,
  emitGradients,
  emitTrainingStep,
  type KnownEstimator,
  type KnownOptimizer,
  type Parameters,
  parameterGraph,
} from './training_program.ts';

/** What the programs are made of. */
export interface ModelOptions {
  readonly model: Model;
  readonly loss: Loss;
  readonly inputShape: readonly number[];
  readonly inputType: 'float32' | 'int32';
}

const leaf = { kind: 'leaf' } as const;
/** Inputs and targets have the examples along their first axis. */
const batched = [0, 1];

/** A Value that a user's function must have returned. */
function oneValue(where: string, body: Body): Value {
  const [output] = body.outputs;
  if (body.structure.kind !== 'leaf' || output === undefined) {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      where,
      'a function that returns one Value',
      `a tree of ${body.outputs.length}`,
    );
  }
  return output;
}

/** inputs [size, …] → the model's output. */
export function modelProgram(
  options: ModelOptions,
  context: TraceContext,
  size: number,
): {
  graph: Graph;
  output: Value;
  declared: readonly DeclaredParameter[];
  states: readonly DeclaredParameter[];
} {
  const { graph, parameters } = parameterGraph(context);
  return graph.within(() => {
    const x = graph.input([size, ...options.inputShape], options.inputType);
    const body = traceBody(
      'model',
      options.model as never,
      { kind: 'array', items: [leaf] },
      [x],
      graph.context,
      graph,
    );
    oneValue('model', body);
    const [output] = graph.emit('call', [x, ...body.graph.captured], { transform: 'none' }, [body.graph]) as [Value];
    graph.finish('model', [output]);
    return { graph, output, declared: parameters.declared, states: parameters.declaredStates };
  });
}

function inputsOf(graph: Graph, options: ModelOptions, size: number, form: TargetForm): [Value, Value] {
  return [
    graph.input([size, ...options.inputShape], options.inputType),
    graph.input([size, ...form.targetShape], form.targetType),
  ];
}

function outputOf(options: ModelOptions, x: Value): Value {
  const output: unknown = options.model(x);
  if (!(output instanceof Value))
    throw new PushforwardError('INVALID_ARGUMENT', 'model', 'a Value to be returned', typeof output);
  return output;
}

/** One loss per example. */
function lossesOf(options: ModelOptions, { declared }: Parameters, output: Value, t: Value): Value {
  const count = declared.length;
  const losses: unknown = options.loss(output, t);
  if (declared.length > count) {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      'loss',
      'a function without parameters (the model declares them all)',
      `'${declared[count]?.name}'`,
    );
  }
  if (!(losses instanceof Value))
    throw new PushforwardError('INVALID_ARGUMENT', 'loss', 'a Value to be returned', typeof losses);
  if (losses.shape.length !== 1 || losses.shape[0] !== t.shape[0]) {
    throw new PushforwardError(
      'SHAPE_MISMATCH',
      'loss',
      `one loss per example, [${t.shape[0]}]`,
      describeShape(losses.shape),
    );
  }
  return losses;
}

/** inputs, targets → losses [size], and the model's output. */
export function evaluationProgram(options: ModelOptions, context: TraceContext, size: number, form: TargetForm): Graph {
  const { graph, parameters } = parameterGraph(context);
  return graph.within(() => {
    const [x, t] = inputsOf(graph, options, size, form);
    const output = outputOf(options, x);
    const losses = lossesOf(options, parameters, output, t);
    return graph.finish('evaluate', [losses, output]);
  });
}

/** The loss program of a step. */
interface LossBody {
  /** The mean loss of the batch, those of the blocks' predictions, and what the model's states become: the body of a transformation. */
  readonly body: Body;
  /** How many of its outputs are losses. */
  readonly losses: number;
  readonly states: readonly Value[];
}

function lossBody(options: ModelOptions, parameters: Parameters, graph: Graph, inputs: readonly Value[]): LossBody {
  let commits: readonly (readonly [Value, Value])[] = [];
  let losses = 0;
  const f = (x: Value, t: Value): readonly Value[] => {
    const outputs = [outputOf(options, x), ...parameters.predictions()];
    losses = outputs.length;
    const means = outputs.map((output) => mean(lossesOf(options, parameters, output, t)));
    commits = parameters.commits();
    return [...means, ...commits.map(([, value]) => value)];
  };
  const structure = { kind: 'array', items: [leaf, leaf] } as const;
  const body = traceBody('training', f as never, structure, inputs, graph.context, graph);
  return { body, losses, states: commits.map(([state]) => state) };
}

/**
 * inputs, targets → loss, then of each parameter that the loss reads g·g, g·ĝ and ĝ·ĝ, g its gradient and ĝ the estimate. `names` are
 * those parameters, `losses` how many the step has.
 */
export function diagnosisProgram(
  options: ModelOptions,
  context: TraceContext,
  size: number,
  form: TargetForm,
  estimator: KnownEstimator,
): { graph: Graph; names: readonly string[]; losses: number } {
  const { graph, parameters } = parameterGraph(context);
  return graph.within(() => {
    const inputs = inputsOf(graph, options, size, form);
    const { body, losses } = lossBody(options, parameters, graph, inputs);
    const all = [...inputs, ...body.graph.captured];
    const exact = emitGradients(graph, parameters, body, all, { kind: 'backprop', checkpoint: false }, batched, losses);
    const estimates = emitGradients(graph, parameters, body, all, estimator, batched, losses).gradients;
    const products = exact.gradients.flatMap(({ gradient: g }, i) => {
      const estimate = estimates[i]?.gradient as Value;
      return [g.mul(g), g.mul(estimate), estimate.mul(estimate)].map((product) => product.sum());
    });
    graph.finish('diagnose', [exact.outputs[0] as Value, ...products]);
    const names = exact.gradients.map(({ ordinal }) => parameters.declared[ordinal]?.name as string);
    return { graph, names, losses };
  });
}

/** inputs, targets → loss, c; updates the parameters and commits the model's states. */
export function trainingProgram(
  options: ModelOptions,
  context: TraceContext,
  size: number,
  form: TargetForm,
  gradient: KnownEstimator,
  optimizer: KnownOptimizer,
): Graph {
  const { graph, parameters } = parameterGraph(context);
  return graph.within(() => {
    const inputs = inputsOf(graph, options, size, form);
    const { body, losses, states } = lossBody(options, parameters, graph, inputs);
    const operands = [...inputs, ...body.graph.captured];
    emitTrainingStep(graph, parameters, body, operands, gradient, optimizer, states, batched, losses);
    return graph;
  });
}
