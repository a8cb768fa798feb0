// The paper's CNN on MNIST by backprop: four 3×3×64 convolutions, a max-pool after the 2nd and the 4th, dense 1024, dense 10.
//   node --import tsx examples/cnn.ts [epochs]
import { backprop, cosine, data, type Model, nn, ops, sgd, Trainer } from 'pushforward';

const epochs = Number(process.argv[2] ?? 3);
const batchSize = 64;
const { train, test } = await data.mnist();
const conv = (): Model => nn.conv2d(64, { padding: 1, activation: 'relu' });
const pool = (): Model => nn.maxPool2d({ window: 2 });

const trainer = new Trainer({
  model: nn.sequential(
    ...[conv(), conv(), pool(), conv(), conv(), pool()],
    nn.flatten(),
    nn.dense(1024, { activation: 'relu' }),
    nn.dense(10),
  ),
  inputShape: [28, 28, 1],
  loss: ops.softmaxCrossEntropy,
  gradient: backprop(),
  optimizer: sgd({
    learningRate: cosine(0.02, epochs * Math.floor(train.length / batchSize)),
    momentum: 0.9,
    nesterov: true,
  }),
});
const start = performance.now();
await trainer.fit(train, {
  epochs,
  batchSize,
  validation: test,
  onProgress({ step, loss, epoch, validation }) {
    if (validation !== undefined) {
      const accuracy = (100 * (validation.metrics.accuracy ?? 0)).toFixed(2);
      const seconds = ((performance.now() - start) / 1000).toFixed(0);
      console.log(
        `epoch ${epoch + 1}, step ${step + 1}: loss ${loss.toFixed(4)}, test accuracy ${accuracy} %, ${seconds} s`,
      );
    }
  },
});
trainer.dispose();
