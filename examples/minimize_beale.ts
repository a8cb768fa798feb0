// Beale's function, minimised by the paper's Algorithm 1 and by gradient descent: 1000 steps each, one native call each.
import { backprop, forwardGradient, gaussian, minimize, sgd, type Value } from 'pushforward';

interface Point {
  readonly x: Value;
  readonly y: Value;
}

/** (1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)², whose minimum is 0 at (3, ½). */
function beale({ x, y }: Point): Value {
  const term = (constant: number, power: Value): Value => x.mul(power).sub(x).add(constant).square();
  return term(1.5, y)
    .add(term(2.25, y.square()))
    .add(term(2.625, y.square().mul(y)));
}

const start = { x: 0, y: 0 };
const options = { steps: 1000, optimizer: sgd({ learningRate: 0.01 }), recordEvery: 100 };
for (const gradient of [forwardGradient({ sampler: gaussian() }), backprop()]) {
  const { losses, parameters, path } = await minimize(beale, start, { ...options, gradient });
  console.log(`\n${gradient.kind}`);
  for (const [i, { x, y }] of path.entries()) {
    // losses has every step's loss, as it was before the step's update.
    const step = (i + 1) * options.recordEvery;
    console.log(
      `step ${step}: (${x.item().toFixed(4)}, ${y.item().toFixed(4)}), loss ${losses[step - 1]?.toExponential(2)}`,
    );
  }
  console.log(`ends at (${parameters.x.item().toFixed(4)}, ${parameters.y.item().toFixed(4)})`);
}
