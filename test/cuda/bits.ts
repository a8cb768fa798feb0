// What bits.test.ts runs in processes of their own: every estimator on device cuda for a few steps; prints a hash of all that came of it.
import { createHash } from 'node:crypto';
import {
  backprop,
  evaluate,
  forwardGradient,
  gaussian,
  grad,
  lowRank,
  ops,
  sphere,
  type Tensor,
  tensor,
  type Value,
} from '../../src/index.ts';
import { normals } from '../support/draw.ts';
import { cnn, mlp, type Setting, trained } from '../support/run.ts';

const hash = createHash('sha256');
const take = ({ buffer, byteOffset, byteLength }: NodeJS.TypedArray): unknown =>
  hash.update(new Uint8Array(buffer, byteOffset, byteLength));

const small = { model: mlp(64), inputShape: [784], rate: 1e-3, batch: 37, steps: 4 };
const image = { model: cnn(8), inputShape: [28, 28, 1], rate: 1e-3, batch: 8, steps: 2 };
const everywhere = [
  backprop(),
  forwardGradient({ sampler: gaussian(), directions: 2 }),
  forwardGradient({ sampler: sphere() }),
  forwardGradient({ perturb: 'activations', directions: 2 }),
];
// Directions per example are for dense layers alone.
const perExample = forwardGradient({ sampler: lowRank({ rank: 2 }), perExample: true });
const settings: readonly Setting[] = [
  ...everywhere.flatMap((gradient) => [small, image].map((setting) => ({ ...setting, gradient }))),
  { ...small, gradient: perExample },
  ...[gaussian(), lowRank({ rank: 2 })].flatMap((sampler) => [
    { ...small, gradient: forwardGradient({ sampler, directions: 3, combine: 'projection', clip: 1 }) },
    { ...small, gradient: forwardGradient({ sampler, directions: 2, controlVariate: { momentum: 0.9 } }) },
  ]),
];
for (const setting of settings) {
  const { losses, derivatives, parameters } = await trained(setting, { device: 'cuda' });
  take(Float64Array.from([...losses, ...derivatives.flat()]));
  for (const { data } of parameters) take(data);
}

// Sums cut into pieces, and rows picked many times: where atomics would show.
const x = tensor(normals(50 * 700, 1), [50, 700]);
const indices = tensor(Int32Array.from({ length: 500 }, (_, i) => (i * i) % 7));
const sums = (v: Value): Value[] => [ops.sum(v), ops.logSumExp(v), ops.sum(v, { axis: 0 })];
for (const { data } of (await evaluate(sums, { device: 'cuda' })(x)) as unknown as Tensor[]) take(data);
const picked = (v: Value): Value => ops.square(ops.gather(v, indices)).sum();
take(((await grad(picked, { device: 'cuda' })(tensor(normals(7 * 33, 2), [7, 33]))) as unknown as Tensor).data);
console.log(hash.digest('hex'));
