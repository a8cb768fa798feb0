// Layers: functions from a Value to a Value that declare their parameters when they are first traced.
import {
  assertFinite,
  assertFunction,
  assertInteger,
  describe,
  describeShape,
  PushforwardError,
  readOptions,
} from '../errors.ts';
import {
  avgPool2d as avgPool2dOp,
  conv2d as conv2dOp,
  maxPool2d as maxPool2dOp,
  type Pool2dOptions,
} from '../ops/conv.ts';
import { dropout as dropoutOp } from '../ops/dropout.ts';
import * as elementwise from '../ops/elementwise.ts';
import { gather } from '../ops/gather.ts';
import { layerNorm as layerNormOp, type NormOptions, rmsNorm as rmsNormOp } from '../ops/norm.ts';
import { type Pair, readPair } from '../ops/pair.ts';
import { type Activation, dense as denseOp } from '../ops/product.ts';
import { flatten as flattenOp } from '../ops/shape.ts';
import { currentGraph, type ParameterTable } from '../trace/graph.ts';
import type { Value } from '../trace/value.ts';
import { declareParameter, type Initializer, parameter, scopePrefix, shared, withScope } from './parameter.ts';

/** `nn.*`, or any function of one Value that calls {@link parameter}. The same layer object used twice shares its weights. */
export type Model = (input: Value) => Value;

/** Options of {@link dense}. */
export interface DenseLayerOptions {
  /** Whether there is a bias. Default: true */
  bias?: boolean;
  /** Of w; biases begin at zero. Default: 'heNormal' */
  initializer?: Initializer;
  /** Default: 'none' */
  activation?: Activation;
}

/** act(x w + b) with `units` outputs: x [B, in] → [B, units]. Parameters: w [in, units], b [units]. */
export function dense(units: number, options?: DenseLayerOptions): Model {
  assertInteger('nn.dense', 'units', units, 1, 2 ** 31 - 1);
  const read = readOptions<DenseLayerOptions>('nn.dense', options, ['bias', 'initializer', 'activation']);
  const { bias = true, initializer = 'heNormal', activation = 'none' } = read as DenseLayerOptions;
  const cache = new WeakMap<ParameterTable, { w: Value; b: Value | undefined }>();
  return (x) => {
    const size = x.shape.at(-1);
    if (size === undefined)
      throw new PushforwardError('SHAPE_MISMATCH', 'nn.dense', 'an input [B, in]', describeShape(x.shape));
    const declare = () => ({
      w: declareParameter('w', [size, units], initializer, true),
      b: bias ? parameter('b', [units], 'zeros') : undefined,
    });
    const { w, b } = shared(declare, cache);
    return b === undefined ? denseOp(x, w, { activation }) : denseOp(x, w, b, { activation });
  };
}

/** Options of {@link conv2d}. */
export interface Conv2dLayerOptions extends DenseLayerOptions {
  /** Size of the filters. Default: 3 */
  kernel?: Pair;
  /** Pixels from one position of a filter to the next. Default: 1 */
  stride?: Pair;
  /** Zeros on both sides of each spatial axis. Default: 0 */
  padding?: Pair;
  /** Pixels from one tap of a filter to the next. Default: 1 */
  dilation?: Pair;
}

/**
 * act(x ∗ w + b) with `filters` filters: x [B, H, W, Cin] → [B, OH, OW, filters], OH = ⌊(H + 2·padding − (kh − 1)·dilation − 1) / stride⌋ + 1.
 * Parameters: w [kh, kw, Cin, filters], b [filters].
 * @throws PushforwardError INVALID_ARGUMENT for a bad option; in the trace SHAPE_MISMATCH when x is no image or the filter does not fit
 */
export function conv2d(filters: number, options?: Conv2dLayerOptions): Model {
  const where = 'nn.conv2d';
  assertInteger(where, 'filters', filters, 1, 2 ** 31 - 1);
  const read = readOptions<Conv2dLayerOptions>(where, options, [
    'kernel',
    'stride',
    'padding',
    'dilation',
    'bias',
    'initializer',
    'activation',
  ]);
  const { bias = true, initializer = 'heNormal', activation = 'none' } = read as Conv2dLayerOptions;
  const kernel = readPair(where, 'kernel', read.kernel ?? 3, 1);
  const geometry = {
    stride: readPair(where, 'stride', read.stride ?? 1, 1),
    padding: readPair(where, 'padding', read.padding ?? 0, 0),
    dilation: readPair(where, 'dilation', read.dilation ?? 1, 1),
    activation,
  };
  const cache = new WeakMap<ParameterTable, { w: Value; b: Value | undefined }>();
  return (x) => {
    const channels = x.shape[3];
    if (x.shape.length !== 4 || channels === undefined)
      throw new PushforwardError('SHAPE_MISMATCH', where, 'an input [B, H, W, C]', describeShape(x.shape));
    const declare = () => ({
      w: parameter('w', [...kernel, channels, filters], initializer),
      b: bias ? parameter('b', [filters], 'zeros') : undefined,
    });
    const { w, b } = shared(declare, cache);
    return b === undefined ? conv2dOp(x, w, geometry) : conv2dOp(x, w, b, geometry);
  };
}

function poolOptions(where: string, options: unknown): Pool2dOptions {
  const read = readOptions<Pool2dOptions>(where, options, ['window', 'stride', 'padding']);
  const window = readPair(where, 'window', read.window, 1);
  const stride = read.stride === undefined ? window : readPair(where, 'stride', read.stride, 1);
  return { window, stride, padding: readPair(where, 'padding', read.padding ?? 0, 0) };
}

/**
 * The largest of each window, [B, H, W, C] → [B, OH, OW, C]; options as in `ops.maxPool2d`.
 * @throws PushforwardError INVALID_ARGUMENT for a bad option; in the trace SHAPE_MISMATCH when x is no image or the window does not fit
 */
export function maxPool2d(options: Pool2dOptions): Model {
  const read = poolOptions('nn.maxPool2d', options);
  return (x) => maxPool2dOp(x, read);
}

/**
 * The average of each window, [B, H, W, C] → [B, OH, OW, C]; options as in `ops.avgPool2d`.
 * @throws PushforwardError INVALID_ARGUMENT for a bad option; in the trace SHAPE_MISMATCH when x is no image or the window does not fit
 */
export function avgPool2d(options: Pool2dOptions): Model {
  const read = poolOptions('nn.avgPool2d', options);
  return (x) => avgPool2dOp(x, read);
}

/** [B, …] → [B, product of the rest]. */
export function flatten(): Model {
  return (x) => flattenOp(x);
}

/** max(x, 0) */
export function relu(): Model {
  return (x) => elementwise.relu(x);
}

/** tanh x */
export function tanh(): Model {
  return (x) => elementwise.tanh(x);
}

/** 1 / (1 + e⁻ˣ) */
export function sigmoid(): Model {
  return (x) => elementwise.sigmoid(x);
}

function lastSize(where: string, x: Value): number {
  const size = x.shape.at(-1);
  if (size === undefined)
    throw new PushforwardError('SHAPE_MISMATCH', where, 'an input [..., n]', describeShape(x.shape));
  return size;
}

function readEpsilon(where: string, options: unknown): number {
  const { epsilon = 1e-5 } = readOptions<NormOptions>(where, options, ['epsilon']);
  assertFinite(where, 'epsilon', epsilon, { min: 0 });
  return epsilon;
}

/** `ops.layerNorm` over the last axis: x [..., n] → [..., n]. Parameters: scale [n], from ones, and shift [n], from zeros. */
export function layerNorm(options?: NormOptions): Model {
  const epsilon = readEpsilon('nn.layerNorm', options);
  const cache = new WeakMap<ParameterTable, { scale: Value; shift: Value }>();
  return (x) => {
    const size = lastSize('nn.layerNorm', x);
    const declare = () => ({ scale: parameter('scale', [size], 'ones'), shift: parameter('shift', [size], 'zeros') });
    const { scale, shift } = shared(declare, cache);
    return layerNormOp(x, scale, shift, { epsilon });
  };
}

/** `ops.rmsNorm` over the last axis: x [..., n] → [..., n]. Parameter: scale [n], from ones. */
export function rmsNorm(options?: NormOptions): Model {
  const epsilon = readEpsilon('nn.rmsNorm', options);
  const cache = new WeakMap<ParameterTable, Value>();
  return (x) => {
    const size = lastSize('nn.rmsNorm', x);
    return rmsNormOp(
      x,
      shared(() => parameter('scale', [size], 'ones'), cache),
      { epsilon },
    );
  };
}

/** Options of {@link batchNorm}. */
export interface BatchNormOptions {
  /** The share of a running average that stays at each step. Default: 0.9 */
  momentum?: number;
  /** Added to the variance. Default: 1e-5 */
  epsilon?: number;
}

/**
 * (x − μ) / √(σ² + ε) · scale + shift per channel, the last axis: x [B, n], or images [B, h, w, n]. In training μ and σ² are those of the
 * batch, over all axes but the last, and move the running averages: average = momentum · average + (1 − momentum) · batch, once per
 * step, for σ² too as it stands (divided by the count, not by one less). Elsewhere the running averages are used. Parameters: scale
 * [n], from ones, and shift [n], from zeros; state: mean [n], from zeros, and variance [n], from ones.
 */
export function batchNorm(options?: BatchNormOptions): Model {
  const where = 'nn.batchNorm';
  const { momentum = 0.9, epsilon = 1e-5 } = readOptions<BatchNormOptions>(where, options, ['momentum', 'epsilon']);
  assertFinite(where, 'momentum', momentum, { min: 0, max: 1 });
  assertFinite(where, 'epsilon', epsilon, { min: 0 });
  type Held = Record<'scale' | 'shift' | 'mean' | 'variance', Value>;
  const cache = new WeakMap<ParameterTable, Held>();
  return (x) => {
    const size = x.shape.at(-1);
    if (size === undefined || x.shape.length < 2)
      throw new PushforwardError('SHAPE_MISMATCH', where, 'an input [B, ..., n]', describeShape(x.shape));
    const { training, parameters } = currentGraph(where).context;
    const held = shared((): Held => {
      const [scale, shift] = [parameter('scale', [size], 'ones'), parameter('shift', [size], 'zeros')];
      const state = (name: string, initializer: 'zeros' | 'ones'): Value =>
        (parameters as ParameterTable).declareState(scopePrefix() + name, [size], initializer);
      return { scale, shift, mean: state('mean', 'zeros'), variance: state('variance', 'ones') };
    }, cache);
    let { mean, variance } = held;
    if (training) {
      const axis = x.shape.slice(0, -1).map((_, i) => i);
      mean = x.mean({ axis });
      variance = x.sub(mean).square().mean({ axis });
      for (const [state, batch] of [[held.mean, mean] as const, [held.variance, variance] as const]) {
        const average = (parameters as ParameterTable)
          .stateNow(state)
          .mul(momentum)
          .add(batch.mul(1 - momentum));
        (parameters as ParameterTable).commit(where, state, average);
      }
    }
    return x.sub(mean).mul(variance.add(epsilon).rsqrt()).mul(held.scale).add(held.shift);
  };
}

/** Options of {@link embedding}. */
export interface EmbeddingLayerOptions {
  /** Of w. Default: 'heNormal' */
  initializer?: Initializer;
}

/**
 * Rows of w by number: x int32 [...], of 0 to count − 1, → [..., size]; another number gives a row of NaN. Parameter: w [count, size]. As
 * a first layer it needs the Trainer's `inputType: 'int32'`.
 */
export function embedding(count: number, size: number, options?: EmbeddingLayerOptions): Model {
  assertInteger('nn.embedding', 'count', count, 1, 2 ** 31 - 1);
  assertInteger('nn.embedding', 'size', size, 1, 2 ** 31 - 1);
  const read = readOptions<EmbeddingLayerOptions>('nn.embedding', options, ['initializer']);
  const { initializer = 'heNormal' } = read as EmbeddingLayerOptions;
  const cache = new WeakMap<ParameterTable, Value>();
  return (x) =>
    gather(
      shared(() => parameter('w', [count, size], initializer), cache),
      x,
    );
}

/** `ops.dropout`: in training, elements become 0 with probability `rate` and the others are divided by 1 − rate. */
export function dropout(rate: number): Model {
  assertFinite('nn.dropout', 'rate', rate, { min: 0, max: 1, below: true });
  return (x) => dropoutOp(x, { rate });
}

/** x + f(x) */
export function residual(f: Model): Model {
  assertFunction('nn.residual', 'f', f);
  return (x) => x.add(f(x));
}

/** One layer after the other; parameters of layer i are named `i.…`. */
export function sequential(...layers: readonly Model[]): Model {
  const list: readonly unknown[] = layers.length === 1 && Array.isArray(layers[0]) ? layers[0] : layers;
  if (list.length === 0)
    throw new PushforwardError('INVALID_ARGUMENT', 'nn.sequential', 'at least one layer', describe(list));
  for (const [i, layer] of list.entries()) assertFunction('nn.sequential', `layer ${i}`, layer);
  return (x) => (list as readonly Model[]).reduce((value, layer, i) => withScope(String(i), () => layer(value)), x);
}
