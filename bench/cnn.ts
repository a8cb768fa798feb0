// Milliseconds of a training step of the paper's CNN on [B, 28, 28, 1] and its ratio to the bare forward pass: node --import tsx bench/cnn.ts
// [batch] [threads].
import { backprop, forwardGradient } from '../src/estimators/gradient.ts';
import { type Model, nn } from '../src/nn/index.ts';
import { gaussian, lowRank, rademacher } from '../src/samplers.ts';
import { measureRatios, timedPlans } from './ratios.ts';

/** Four 3×3×64 convolutions, a max-pool after the 2nd and the 4th, dense 1024, dense 10. */
export function cnn(): Model {
  const conv = (): Model => nn.conv2d(64, { padding: 1, activation: 'relu' });
  const pool = (): Model => nn.maxPool2d({ window: 2 });
  const hidden = nn.dense(1024, { activation: 'relu' });
  return nn.sequential(conv(), conv(), pool(), conv(), conv(), pool(), nn.flatten(), hidden, nn.dense(10));
}

const estimators = {
  backprop: backprop(),
  'forward gradient, rank one': forwardGradient({ sampler: lowRank({ rank: 1 }) }),
  'forward gradient, rademacher': forwardGradient({ sampler: rademacher() }),
  'forward gradient, gaussian': forwardGradient({ sampler: gaussian() }),
};

if (process.argv[1]?.endsWith('cnn.ts')) {
  const [batch = '64', threads = '1'] = process.argv.slice(2);
  const plans = await timedPlans(cnn(), [28, 28, 1], Number(batch), estimators, {
    device: 'cpu',
    threads: Number(threads),
  });
  const ratios = await measureRatios(plans, 7, 1);
  console.log(`${plans.session.isa}, batch ${batch}, ${threads} thread(s)`);
  console.log(`forward pass ${ratios[0]?.forwardMilliseconds.toFixed(2)} ms`);
  for (const { name, milliseconds, ratio } of ratios)
    console.log(`${name} ${milliseconds.toFixed(2)} ms, ${ratio.toFixed(2)}`);
  const memory = plans.session.memory();
  console.log(`workspace ${memory.workspace}, tape ${memory.tape} bytes`);
  plans.session.dispose();
}
