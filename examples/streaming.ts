// Training on a stream: batches are made while the training runs, here synthetic ones; they could as well come from a file or a socket.
import { setTimeout } from 'node:timers/promises';
import { adam, type Batch, backprop, nn, ops, Trainer, tensor } from 'pushforward';

const batchSize = 64;

/** Points of the unit square, labelled by whether they lie within a circle around its middle. A function: each epoch calls it again. */
async function* circles(): AsyncGenerator<Batch> {
  for (let i = 0; i < 100; i++) {
    await setTimeout(0); // as a disk or a network would make it wait
    const points = Float32Array.from({ length: 2 * batchSize }, Math.random);
    const labels = Int32Array.from({ length: batchSize }, (_, j) =>
      Math.hypot((points[2 * j] ?? 0) - 0.5, (points[2 * j + 1] ?? 0) - 0.5) < 0.4 ? 1 : 0,
    );
    yield { inputs: tensor(points, [batchSize, 2]), targets: tensor(labels) };
  }
}

const trainer = new Trainer({
  model: nn.sequential(nn.dense(32, { activation: 'relu' }), nn.dense(32, { activation: 'relu' }), nn.dense(2)),
  inputShape: [2],
  loss: ops.softmaxCrossEntropy,
  gradient: backprop(),
  optimizer: adam({ learningRate: 0.005 }),
});
for await (const event of trainer.events(circles, { epochs: 5, batchSize, validation: circles })) {
  if (event.validation === undefined) continue; // one event per batch, and one per epoch with the validation
  const accuracy = event.validation.metrics.accuracy ?? 0;
  console.log(`epoch ${event.epoch}: loss ${event.loss.toFixed(3)}, accuracy ${(100 * accuracy).toFixed(1)} %`);
}
trainer.dispose();
