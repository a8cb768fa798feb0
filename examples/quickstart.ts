import { Dataset, forwardGrad, forwardGradient, grad, nn, ops, sgd, Trainer, tensor, type Value } from 'pushforward';

// A gradient: exact, by a backward pass; or estimated, by one forward pass along a random direction.
const f = (x: Value): Value => x.square().sum();
const x = tensor([1, 2, 3]);
console.log('exact', await grad(f)(x));
console.log('estimate', (await forwardGrad(f)(x)).gradient);

// XOR, learned without a backward pass.
const xor = Dataset.from(tensor([0, 0, 0, 1, 1, 0, 1, 1], [4, 2]), tensor(Int32Array.of(0, 1, 1, 0)));
const trainer = new Trainer({
  model: nn.sequential(nn.dense(16, { activation: 'tanh' }), nn.dense(2)),
  inputShape: [2],
  loss: ops.softmaxCrossEntropy,
  gradient: forwardGradient({ directions: 4 }), // or backprop()
  optimizer: sgd({ learningRate: 0.1 }),
});
await trainer.fit(xor, { epochs: 1000, batchSize: 4 });
console.log(await trainer.evaluate(xor));
trainer.dispose();
