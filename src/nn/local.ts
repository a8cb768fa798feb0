// Local losses: a model in blocks, each trained on the predictions of its own head, with no gradient between blocks.
import { assertFunction, assertInteger, describe, describeShape, PushforwardError, readOptions } from '../errors.ts';
import { slice, stopGradient } from '../ops/shape.ts';
import { currentGraph } from '../trace/graph.ts';
import type { Value } from '../trace/value.ts';
import { dense, type Model, sequential } from './layers.ts';
import { withScope } from './parameter.ts';

/** Options of {@link localHead}: `outputs` or `model`. */
export interface LocalHeadOptions {
  /** Outputs of a dense layer, as many as the model's own output has. */
  outputs?: number;
  /** A small model from the block's output to a prediction, instead of a dense layer. */
  model?: Model;
  /**
   * Equal parts that the block's features, its output's last axis, are dealt out to, an integer from 1 to 1024; each has a dense layer and a loss
   * of its own. Default: 1
   */
  groups?: number;
}

/** How a block predicts: frozen plain data, made by {@link localHead}. */
export interface LocalHead {
  /** Tells it from other options. */
  readonly kind: 'localHead';
  /** Of the dense layer; absent where there is a model. */
  readonly outputs?: number;
  /** Absent where there is a dense layer. */
  readonly model?: Model;
  /** Dense layers, one for each part of the features. */
  readonly groups: number;
}

/** Options of {@link block}. */
export interface BlockOptions {
  /** Made by {@link localHead}. */
  loss: LocalHead;
}

/**
 * The head of a block: a dense layer to `outputs`, of the mean over the positions where the block gives images [B, h, w, C], or a small `model`.
 * With `groups` G there are G dense layers, each of C/G features, and G losses, which are summed (arXiv 2210.03310).
 * @throws PushforwardError INVALID_ARGUMENT
 */
export function localHead(options: LocalHeadOptions): LocalHead {
  const where = 'nn.localHead';
  const read = readOptions<LocalHeadOptions>(where, options, ['outputs', 'model', 'groups']);
  const { outputs, model, groups = 1 } = read as LocalHeadOptions;
  assertInteger(where, 'groups', groups, 1, 1024);
  if ((outputs === undefined) === (model === undefined)) {
    const received = outputs === undefined ? 'neither' : 'both';
    throw new PushforwardError('INVALID_ARGUMENT', where, 'outputs (of a dense layer) or a model', received);
  }
  if (outputs !== undefined) assertInteger(where, 'outputs', outputs, 1, 2 ** 31 - 1);
  if (model === undefined) return Object.freeze({ kind: 'localHead', outputs: outputs as number, groups });
  assertFunction(where, 'model', model);
  if (groups > 1)
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      where,
      'outputs with groups, each of which has a layer of its own,',
      'a model',
    );
  return Object.freeze({ kind: 'localHead', model: model as Model, groups });
}

/** The part `group` of a block's features, as its dense layer reads it. */
function featuresOf(y: Value, group: number, groups: number): Value {
  const { shape } = y;
  const channels = shape.at(-1) as number;
  if (shape.length < 2 || channels % groups !== 0)
    throw new PushforwardError(
      'SHAPE_MISMATCH',
      'nn.block',
      `an output [B, ..., C] whose C ${groups} groups divide`,
      describeShape(shape),
    );
  const size = channels / groups;
  const before = shape.slice(0, -1);
  const own = groups === 1 ? y : slice(y, [...before.map(() => 0), group * size], [...before, size]);
  return shape.length === 4 ? own.mean({ axis: [1, 2] }) : own;
}

/** A model per group: the block's output ↦ a prediction. */
function headModels({ outputs, model, groups }: LocalHead): readonly Model[] {
  if (model !== undefined) return [(y) => withScope('head', () => model(y))];
  const one = groups === 1;
  return Array.from({ length: groups }, (_, group) => {
    const layer = dense(outputs as number);
    const name = one ? 'head' : `head.${group}`;
    return (y: Value) => withScope(name, () => layer(featuresOf(y, group, groups)));
  });
}

/** The block that is being traced is open: no other may begin in it. */
let isOpen = false;

/**
 * The layers one after the other, trained on a loss of their own (greedy training with local losses: Ren, Kornblith, Liao, Hinton, *Scaling
 * Forward Gradient With Local Losses*, arXiv 2210.03310). In training no gradient enters with the input and none comes back from the output; the
 * head's predictions go to the Trainer's `loss` with the batch's targets, and what that says trains the layers and the head. The model's
 * output is what trains the layers after the last block; a layer before a block, outside of one, is not trained. Elsewhere the layers run, and
 * the head does not. Parameters: those of layer i as
 * `i.…`, of the head as `head.…`, of group q of a head as `head.q.…`.
 *
 * Estimators multiply the noise of a parameter by the directional derivatives of the losses that it changes, and of no other.
 * @param args layers, at least one, and `{ loss: nn.localHead(…) }`
 * @throws PushforwardError INVALID_ARGUMENT for bad options, and in the trace for a block inside a block or inside a function that the model
 *   transforms; SHAPE_MISMATCH in the trace where groups do not divide the features
 */
export function block(...args: [...layers: Model[], options: BlockOptions]): Model {
  const where = 'nn.block';
  const layers = args.slice(0, -1) as Model[];
  if (layers.length === 0 || typeof args.at(-1) === 'function')
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      where,
      'at least one layer, and { loss: nn.localHead(…) } last',
      layers.length === 0 ? describe(args.at(-1)) : 'layers alone',
    );
  const { loss } = readOptions<BlockOptions>(where, args.at(-1), ['loss']);
  if ((loss as LocalHead | undefined)?.kind !== 'localHead')
    throw new PushforwardError('INVALID_ARGUMENT', where, 'loss to be made by nn.localHead', describe(loss));
  for (const [i, layer] of layers.entries()) assertFunction(where, `layer ${i}`, layer);
  const { kind: _, ...given } = loss as LocalHead;
  const heads = headModels(localHead(given));
  const run = sequential(...layers);
  return (x) => {
    if (isOpen)
      throw new PushforwardError('INVALID_ARGUMENT', where, 'blocks one after the other', 'a block inside a block');
    isOpen = true;
    try {
      const { training, parameters } = currentGraph(where).context;
      if (parameters === undefined) return run(x);
      const y = run(training && x.dtype !== 'int32' ? stopGradient(x) : x);
      // Outside training too, so that every trace declares the same parameters; what nobody reads is left out of the plan.
      const predictions = heads.map((head) => head(y));
      if (!training) return y;
      for (const prediction of predictions) parameters.addPrediction(where, prediction);
      return stopGradient(y);
    } finally {
      isOpen = false;
    }
  };
}
