// Bytes beyond the parameters, by depth: flat for forward gradients, a longer tape for backprop.
import { backprop, forwardGradient, gaussian, nn, ops, sgd, Trainer, tensor } from 'pushforward';

const [batch, width] = [64, 256];
const estimators = {
  backprop: backprop(),
  'forward gradient, rank one': forwardGradient(),
  'forward gradient, gaussian': forwardGradient({ sampler: gaussian() }),
  'forward gradient, 4 directions': forwardGradient({ directions: 4 }),
};
const inputs = tensor(new Float32Array(batch * width).fill(0.5), [batch, width]);
const targets = new Int32Array(batch);

console.log(`| bytes of tape + workspace, width ${width}, batch ${batch} | 3 layers | 10 layers | 30 layers |`);
console.log('|---|---|---|---|');
for (const [name, gradient] of Object.entries(estimators)) {
  const cells: string[] = [];
  for (const depth of [3, 10, 30]) {
    const hidden = Array.from({ length: depth }, () => nn.dense(width, { activation: 'relu' }));
    const trainer = new Trainer({
      model: nn.sequential(...hidden, nn.dense(10)),
      inputShape: [width],
      loss: ops.softmaxCrossEntropy,
      gradient,
      optimizer: sgd({ learningRate: 1e-4 }),
    });
    await trainer.step({ inputs, targets });
    const { tape, workspace } = trainer.memory();
    cells.push((tape + workspace).toLocaleString('en'));
    trainer.dispose();
  }
  console.log(`| ${name} | ${cells.join(' | ')} |`);
}
