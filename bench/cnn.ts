// Milliseconds of a training step of the paper's CNN on [64, 28, 28, 1] and its ratio to the bare forward pass, by precision and threads.
import { backprop, forwardGradient } from '../src/estimators/gradient.ts';
import { type Model, nn } from '../src/nn/index.ts';
import { gaussian, lowRank, rademacher } from '../src/samplers.ts';
import { measureRatios, type Ratio, timedPlans } from './ratios.ts';
import { machine, markOf, table, writeBetween } from './report.ts';

/** Four 3×3×64 convolutions, a max-pool after the 2nd and the 4th, dense 1024, dense 10; `hiddenLayer` may wrap the convolutions and the first. */
export function cnn(hiddenLayer: (layer: Model) => Model = (layer) => layer): Model {
  const conv = (): Model => hiddenLayer(nn.conv2d(64, { padding: 1, activation: 'relu' }));
  const pool = (): Model => nn.maxPool2d({ window: 2 });
  const hidden = hiddenLayer(nn.dense(1024, { activation: 'relu' }));
  return nn.sequential(conv(), conv(), pool(), conv(), conv(), pool(), nn.flatten(), hidden, nn.dense(10));
}

const estimators = {
  backprop: backprop(),
  'rank one': forwardGradient({ sampler: lowRank({ rank: 1 }) }),
  rademacher: forwardGradient({ sampler: rademacher() }),
  gaussian: forwardGradient({ sampler: gaussian() }),
};

async function rowsOf(precision: 'f32' | 'bf16', batch: number): Promise<string[][]> {
  const columns: Pick<Ratio, 'milliseconds' | 'least' | 'ratio'>[][] = [];
  for (const threads of [1, 2]) {
    const plans = await timedPlans(cnn(), [28, 28, 1], batch, estimators, { device: 'cpu', threads, precision });
    const ratios = await measureRatios(plans, 15, 1);
    const [{ forwardMilliseconds, forwardLeast }] = ratios as [Ratio];
    columns.push([{ milliseconds: forwardMilliseconds, least: forwardLeast, ratio: 1 }, ...ratios]);
    plans.session.dispose();
  }
  return ['forward pass', ...Object.keys(estimators)].map((name, i) => [
    precision,
    name,
    ...columns.flatMap((column) => {
      const { milliseconds, least, ratio } = column[i] as Ratio;
      return [milliseconds.toFixed(1), least.toFixed(1), ratio.toFixed(2)];
    }),
  ]);
}

/** `--write` puts the table into docs/performance.md; `--batch n` is for trying it out. */
export async function cnnBenchmark(flags: readonly string[]): Promise<void> {
  const batch = flags.includes('--batch') ? Number(flags[flags.indexOf('--batch') + 1]) : 64;
  const head = ['precision', 'step', '1 thread, ms', 'least', '× forward', '2 threads, ms', 'least, 2', '× forward, 2'];
  const rows = [...(await rowsOf('f32', batch)), ...(await rowsOf('bf16', batch))];
  const text = `${machine()}, batch ${batch}. Medians and least of 15 interleaved rounds.\n\n${table(head, rows)}`;
  console.log(text);
  if (flags.includes('--write')) writeBetween('docs/performance.md', markOf('bench:cnn'), text);
}
