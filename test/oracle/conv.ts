// Convolutions and pools by their definition: a sum, a maximum or an average per window.
import { exact } from './approx.ts';
import type { Grid } from './ops.ts';
import type { Scalar, Tape } from './tape.ts';

const pair = (value: unknown, fallback: readonly number[]): readonly [number, number] => {
  const list = value ?? fallback;
  return (Array.isArray(list) ? list : [list, list]) as unknown as readonly [number, number];
};

/** The pixels of an image that each window meets, in row-major order, with the tap that meets them. */
function windows(
  image: readonly number[],
  window: readonly [number, number],
  { stride, padding, dilation }: Readonly<Record<string, unknown>>,
): { outer: [number, number]; meetings: { pixel: number; tap: number }[][] } {
  const [height, width] = image.slice(1, 3) as [number, number];
  const [s, p, d] = [pair(stride, [1, 1]), pair(padding, [0, 0]), pair(dilation, [1, 1])];
  const size = (axis: 0 | 1, n: number): number =>
    Math.floor((n + 2 * p[axis] - (window[axis] - 1) * d[axis] - 1) / s[axis]) + 1;
  const outer: [number, number] = [size(0, height), size(1, width)];
  const meetings: { pixel: number; tap: number }[][] = [];
  for (let oy = 0; oy < outer[0]; oy++) {
    for (let ox = 0; ox < outer[1]; ox++) {
      const here: { pixel: number; tap: number }[] = [];
      for (let tap = 0; tap < window[0] * window[1]; tap++) {
        const y = oy * s[0] + Math.floor(tap / window[1]) * d[0] - p[0];
        const x = ox * s[1] + (tap % window[1]) * d[1] - p[1];
        if (y >= 0 && y < height && x >= 0 && x < width) here.push({ pixel: y * width + x, tap });
      }
      meetings.push(here);
    }
  }
  return { outer, meetings };
}

/** x * w + b */
export function convolution(
  tape: Tape,
  [x, w, bias]: readonly Grid[],
  attributes: Readonly<Record<string, unknown>>,
): Grid {
  const [batch, height, width, channels] = x!.shape as [number, number, number, number];
  const [kh, kw, , filters] = w!.shape as [number, number, number, number];
  const { outer, meetings } = windows(x!.shape, [kh, kw], attributes);
  const data: Scalar[] = [];
  for (let n = 0; n < batch; n++) {
    for (const here of meetings) {
      for (let f = 0; f < filters; f++) {
        const left: Scalar[] = [];
        const right: Scalar[] = [];
        for (const { pixel, tap } of here) {
          for (let c = 0; c < channels; c++) {
            left.push(x!.data[(n * height * width + pixel) * channels + c]!);
            right.push(w!.data[(tap * channels + c) * filters + f]!);
          }
        }
        data.push(tape.product(left, right, bias?.data[f]));
      }
    }
  }
  return { shape: [batch, ...outer, filters], data };
}

/** f of the elements of each window. */
export function pool(
  x: Grid,
  attributes: Readonly<Record<string, unknown>>,
  f: (group: Scalar[], size: number) => Scalar,
): Grid {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const window = pair(attributes.window, []);
  const { outer, meetings } = windows(x.shape, window, { ...attributes, stride: attributes.stride ?? window });
  const data: Scalar[] = [];
  for (let n = 0; n < batch; n++) {
    for (const here of meetings) {
      for (let c = 0; c < channels; c++) {
        const group = here.map(({ pixel }) => x.data[(n * height * width + pixel) * channels + c]!);
        data.push(f(group, window[0] * window[1]));
      }
    }
  }
  return { shape: [batch, ...outer, channels], data };
}

/** Σ / size */
export const average = (tape: Tape, group: readonly Scalar[], size: number): Scalar =>
  tape.row('div', [tape.sum(group), tape.constant(exact(size))]);
