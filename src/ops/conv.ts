// Convolutions and pools of images [B, H, W, C]. Formulas in native/ops/conv2d.cpp and native/ops/pool.cpp.
import { describe, isPlainObject, PushforwardError, readOptions } from '../errors.ts';
import { emit } from '../trace/graph.ts';
import type { Operand, Value } from '../trace/value.ts';
import { type Pair, readPair } from './pair.ts';
import type { Activation } from './product.ts';

/** Options of {@link conv2d}. */
export interface Conv2dOptions {
  /** Pixels from one position of the filter to the next. Default: 1 */
  stride?: Pair;
  /** Zeros on both sides of each spatial axis. Default: 0 */
  padding?: Pair;
  /** Pixels from one tap of the filter to the next. Default: 1 */
  dilation?: Pair;
  /** Default: 'none' */
  activation?: Activation;
}

/**
 * act(x ∗ w + b): x [B, H, W, Cin], w [kh, kw, Cin, Cout], b [Cout] → [B, OH, OW, Cout] with
 * OH = ⌊(H + 2·padding − (kh − 1)·dilation − 1) / stride⌋ + 1, OW likewise. The filter is not flipped. The bias may be left out.
 * @throws PushforwardError SHAPE_MISMATCH when the shapes do not go together or the filter does not fit; INVALID_ARGUMENT for a stride or
 * dilation below 1, a padding below 0
 */
export function conv2d(x: Operand, w: Operand, b?: Operand | Conv2dOptions, options?: Conv2dOptions): Value {
  const biasLeftOut = options === undefined && isPlainObject(b);
  const {
    stride = 1,
    padding = 0,
    dilation = 1,
    activation = 'none',
  } = readOptions<Conv2dOptions>('conv2d', biasLeftOut ? b : options, ['stride', 'padding', 'dilation', 'activation']);
  if (typeof activation !== 'string') {
    throw new PushforwardError('INVALID_ARGUMENT', 'conv2d', 'activation to be a name', describe(activation));
  }
  return emit('conv2d', [x, w, biasLeftOut ? null : (b as Operand | undefined)], {
    stride: readPair('conv2d', 'stride', stride, 1),
    padding: readPair('conv2d', 'padding', padding, 0),
    dilation: readPair('conv2d', 'dilation', dilation, 1),
    activation,
  });
}

/** Options of {@link maxPool2d} and {@link avgPool2d}. */
export interface Pool2dOptions {
  /** Size of the window. */
  window: Pair;
  /** Pixels from one window to the next; less than the window makes them overlap. Default: the window */
  stride?: Pair;
  /** Pixels outside on both sides of each spatial axis, fewer than the window has. Default: 0 */
  padding?: Pair;
}

const pool =
  (name: string) =>
  (x: Operand, options: Pool2dOptions): Value => {
    const { window, stride, padding = 0 } = readOptions<Pool2dOptions>(name, options, ['window', 'stride', 'padding']);
    const size = readPair(name, 'window', window, 1);
    return emit(name, [x], {
      window: size,
      stride: stride === undefined ? size : readPair(name, 'stride', stride, 1),
      padding: readPair(name, 'padding', padding, 0),
    });
  };

type Pool = (x: Operand, options: Pool2dOptions) => Value;

/**
 * The largest of each window, [B, H, W, C] → [B, OH, OW, C]; on a tie the derivative goes to the first in row-major order. Padding is −∞.
 * @throws PushforwardError SHAPE_MISMATCH when the window does not fit; INVALID_ARGUMENT for a bad window, stride or padding
 * @function
 */
export const maxPool2d: Pool = pool('maxPool2d');
/**
 * Σ of each window / its size, [B, H, W, C] → [B, OH, OW, C]. Padding is zero and counts.
 * @throws PushforwardError SHAPE_MISMATCH when the window does not fit; INVALID_ARGUMENT for a bad window, stride or padding
 * @function
 */
export const avgPool2d: Pool = pool('avgPool2d');
