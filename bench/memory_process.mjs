// One measurement of bench/deep_memory.ts, in a process without a TypeScript loader: the package as built in dist/. Its argument and
// its answer are JSON.
import { readFileSync, writeFileSync } from 'node:fs';
import { backprop, evaluate, forwardGradient, lowRank, nn, ops, sgd, Trainer, tensor } from 'pushforward';

const { layers, width, batch, step, steps } = JSON.parse(process.argv[2]);
const estimators = {
  'rank one': () => forwardGradient({ sampler: lowRank({ rank: 1 }) }),
  backprop: () => backprop(),
  'backprop, checkpointed': () => backprop({ checkpoint: true }),
};

function status(field) {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync('/proc/self/status', 'utf8'));
  return 1024 * Number(found[1]);
}

await evaluate((x) => x.exp())(new Float32Array(16)); // loads the addon
try {
  writeFileSync('/proc/self/clear_refs', '5'); // VmHWM begins anew
} catch {} // a kernel without it counts what loading needed for a moment, too
const before = status('VmRSS');
const rows = () => {
  const values = new Float32Array(batch * width);
  for (let i = 0; i < values.length; i++) values[i] = Math.random();
  return tensor(values, [batch, width]);
};
const data = { inputs: rows(), targets: rows() };
const trainer = new Trainer({
  model: nn.sequential(...Array.from({ length: layers }, () => nn.dense(width, { bias: false, activation: 'relu' }))),
  inputShape: [width],
  loss: ops.meanSquaredError,
  gradient: estimators[step](),
  optimizer: sgd({ learningRate: 1e-6 }),
});
for (let i = 0; i < steps; i++) await trainer.step(data);
const { parameters, workspace, tape } = trainer.memory();
const peak = status('VmHWM');
console.log(JSON.stringify({ before, peak, parameters, workspace, tape, beyond: peak - before - parameters }));
