// A model is any function of one Value that declares parameters; a loss is any function that gives one number per example.
import { adam, backprop, Dataset, type Model, nn, ops, parameter, Trainer, tensor, type Value } from 'pushforward';

/** A ready-made layer; made outside the model, so that every use of it shares its weights. */
const mixer = nn.residual(nn.dense(32, { activation: 'tanh', initializer: 'zeros' }));

/** y = Σ_j a_j sin(w_j x + p_j): a Fourier series with learned frequencies, mixed by a layer. */
const model: Model = (x) => {
  const frequencies = parameter('frequencies', [1, 32], 'glorotUniform');
  const phases = parameter('phases', [32], 'zeros');
  const waves = x.matmul(frequencies.mul(20)).add(phases).sin();
  return mixer(waves).matmul(parameter('amplitudes', [32, 1]));
};

/** Huber's loss: quadratic near 0, linear far away. */
function huber(output: Value, target: Value): Value {
  const error = output.sub(target).abs();
  const loss = ops.where(error.less(1), error.square().mul(0.5), error.sub(0.5));
  return loss.mean({ axis: 1 });
}

// A triangle wave with an outlier here and there.
const x = Float32Array.from({ length: 512 }, (_, i) => i / 256 - 1);
const y = x.map((value, i) => 2 * Math.abs(((4 * value + 8) % 2) - 1) - 1 + (i % 50 === 0 ? 5 : 0));
const data = Dataset.from(tensor(x, [512, 1]), tensor(y, [512, 1]));

const trainer = new Trainer({
  model,
  inputShape: [1],
  loss: huber,
  gradient: backprop(),
  optimizer: adam({ learningRate: 0.003 }),
});
const { epochs } = await trainer.fit(data, { epochs: 200, batchSize: 32 });
console.log(Object.entries(await trainer.parameters()).map(([name, { shape }]) => `${name} [${shape}]`));
console.log('loss', epochs[0]?.loss, '→', (await trainer.evaluate(data)).loss);
trainer.dispose();
