// Cases of convolutions and pools: strides, padding, dilation, filters and windows of odd sizes, every activation, images of one pixel.
import type { Input, OpCase } from './case.ts';
import { activations } from './product.ts';

const normal = (...shape: number[]): Input => ({ shape, low: -1.5, high: 1.5 });
const distinct = (...shape: number[]): Input => ({ shape, low: -2, high: 2, apart: 0.05 });
const plain = { integers: [] } as const;

type Image = readonly [batch: number, height: number, width: number, channels: number];
type Filter = readonly [height: number, width: number, filters: number];

/** conv2d of an image, with a bias unless it is left out. */
export function convolutionCase(
  x: Image,
  [kh, kw, filters]: Filter,
  attributes: OpCase['attributes'],
  bias = true,
): OpCase {
  const inputs = [normal(...x), normal(kh, kw, x[3], filters), ...(bias ? [normal(filters)] : [])];
  return { ...plain, op: 'conv2d', attributes, inputs, kind: 'products' };
}

/** maxPool2d or avgPool2d of an image. */
export function poolCase(op: 'maxPool2d' | 'avgPool2d', x: Image, attributes: OpCase['attributes']): OpCase {
  const max = op === 'maxPool2d';
  return { ...plain, op, attributes, inputs: [max ? distinct(...x) : normal(...x)], kind: max ? 'moves' : 'products' };
}

const geometries: readonly (readonly [x: Image, w: Filter, attributes: OpCase['attributes']])[] = [
  [[2, 4, 5, 2], [3, 3, 3], {}],
  [[2, 4, 4, 2], [3, 3, 3], { padding: 1 }],
  [[1, 5, 4, 3], [2, 3, 2], { padding: [0, 2], stride: [2, 1] }],
  [[1, 6, 7, 1], [3, 2, 2], { stride: 2, padding: 1 }],
  [[1, 7, 6, 2], [3, 3, 1], { dilation: [2, 1], padding: [1, 0] }],
  [[1, 7, 7, 1], [2, 2, 2], { dilation: 3, stride: 3, padding: 2 }],
  [[2, 3, 3, 3], [1, 1, 4], {}],
  [[1, 1, 1, 1], [1, 1, 1], { padding: 1, stride: 2 }],
  [[1, 2, 2, 2], [3, 3, 2], { padding: 4 }],
];

/** Cases of the convolutions and pools. */
export const convCases: readonly OpCase[] = [
  ...geometries.flatMap(([x, w, attributes], i) => [
    convolutionCase(x, w, attributes, i % 2 === 0),
    ...(i < 2 ? [convolutionCase(x, w, attributes, i % 2 !== 0)] : []),
  ]),
  ...Object.keys(activations).map((activation, i) =>
    convolutionCase([1, 3, 4, 2], [3, 2, 3], { activation, padding: [1, 0] }, i % 2 === 0),
  ),
  ...(['maxPool2d', 'avgPool2d'] as const).flatMap((op) => [
    poolCase(op, [2, 4, 6, 3], { window: 2 }),
    poolCase(op, [1, 5, 5, 2], { window: [3, 2], stride: [2, 1] }),
    poolCase(op, [1, 5, 4, 2], { window: 3, stride: 1, padding: 1 }),
    poolCase(op, [2, 3, 3, 1], { window: 3, stride: 2, padding: [2, 1] }),
    poolCase(op, [1, 4, 4, 17], { window: [1, 2], stride: [3, 2] }),
    poolCase(op, [1, 1, 1, 1], { window: 1 }),
  ]),
];
