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
import { dropout as dropoutOp } from '../ops/dropout.ts';
import * as elementwise from '../ops/elementwise.ts';
import { gather } from '../ops/gather.ts';
import { layerNorm as layerNormOp, type NormOptions, rmsNorm as rmsNormOp } from '../ops/norm.ts';
import { type Activation, dense as denseOp } from '../ops/product.ts';
import { reshape } from '../ops/shape.ts';
import { currentGraph, type ParameterTable } from '../trace/graph.ts';
import type { Value } from '../trace/value.ts';
import { type Initializer, parameter, withScope } from './parameter.ts';

/** `nn.*`, or any function of one Value that calls {@link parameter}. The same layer object used twice shares its weights. */
export type Model = (input: Value) => Value;

/** Declares a layer's parameters at its first use in a trace; later uses of the same layer object get the same ones. */
function shared<T>(declare: () => T, cache: WeakMap<ParameterTable, T>): T {
  const table = currentGraph('layer').context.parameters;
  if (table === undefined) return declare();
  const known = cache.get(table);
  if (known !== undefined) return known;
  const declared = declare();
  cache.set(table, declared);
  return declared;
}

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
      w: parameter('w', [size, units], initializer),
      b: bias ? parameter('b', [units], 'zeros') : undefined,
    });
    const { w, b } = shared(declare, cache);
    return b === undefined ? denseOp(x, w, { activation }) : denseOp(x, w, b, { activation });
  };
}

/** [B, …] → [B, product of the rest]. */
export function flatten(): Model {
  return (x) => reshape(x, [x.shape[0] ?? 1, x.shape.slice(1).reduce((product, size) => product * size, 1)]);
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
