// Cases of the ops that move data.
import type { Input, OpCase } from './case.ts';

const normal = (...shape: number[]): Input => ({ shape, low: -3, high: 3 });
const moves = (op: OpCase['op'], attributes: OpCase['attributes'], ...inputs: Input[]): OpCase => ({
  op,
  attributes,
  inputs,
  integers: [],
  kind: 'moves',
});

/** Cases of the shape ops. */
export const shapeCases: readonly OpCase[] = [
  moves('reshape', { shape: [6, 4] }, normal(2, 3, 4)),
  moves('reshape', { shape: [4, -1] }, normal(2, 3, 4)),
  moves('reshape', { shape: [1, 1, 1] }, normal()),
  moves('reshape', { shape: [] }, normal(1, 1)),
  moves('flatten', {}, normal(2, 3, 4)),
  moves('flatten', {}, normal(3)),
  moves('transpose', {}, normal(3, 5)),
  moves('transpose', {}, normal(2, 3, 4)),
  moves('transpose', { permutation: [2, 0, 1] }, normal(2, 3, 4)),
  moves('transpose', { permutation: [0, 2, 1] }, normal(2, 3, 4)),
  moves('transpose', { permutation: [1, 0, 2] }, normal(2, 3, 4)),
  moves('transpose', { permutation: [3, 1, 0, 2] }, normal(2, 3, 2, 4)),
  moves('transpose', { permutation: [-1, 0, 1] }, normal(2, 3, 4)),
  moves('transpose', { permutation: [1, 0] }, normal(17, 33)),
  moves('broadcast', { shape: [3, 4] }, normal(4)),
  moves('broadcast', { shape: [2, 3] }, normal()),
  moves('broadcast', { shape: [4, 3, 5] }, normal(3, 1)),
  moves('broadcast', { shape: [2, 3] }, normal(2, 3)),
  moves('concat', { axis: 1 }, normal(2, 3), normal(2, 5)),
  moves('concat', {}, normal(2, 3), normal(1, 3), normal(4, 3)),
  moves('concat', { axis: -1 }, normal(2, 2, 1), normal(2, 2, 3)),
  moves('concat', { axis: 1 }, normal(2, 2, 3), normal(2, 1, 3), normal(2, 3, 3)),
  moves('concat', {}, normal(5)),
  moves('slice', { start: [1, 2], size: [3, 3] }, normal(5, 6)),
  moves('slice', { start: [0, 0], size: [5, 6] }, normal(5, 6)),
  moves('slice', { start: [2], size: [1] }, normal(4)),
  moves('slice', { start: [1, 0, 2], size: [1, 3, 2] }, normal(2, 3, 4)),
  moves('pad', { before: [1, 0], after: [2, 3] }, normal(2, 3)),
  moves('pad', { before: [0, 0, 1], after: [0, 1, 0], value: -1.5 }, normal(2, 2, 3)),
  moves('pad', { before: [2], after: [0], value: 3 }, normal(3)),
  moves('pad', { before: [0, 0], after: [0, 0] }, normal(2, 3)),
  moves('stopGradient', {}, normal(3, 4)),
  moves('stopGradient', {}, normal()),
];
