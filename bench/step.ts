// Milliseconds of a training step of the paper's MLP and its ratio to the bare forward pass, for every estimator that is here.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { backprop, forwardGradient, type GradientEstimator } from '../src/estimators/gradient.ts';
import { gaussian, lowRank, rademacher } from '../src/samplers.ts';
import { measureRatios, mlp, timedPlans } from './ratios.ts';

const estimators: Readonly<Record<string, GradientEstimator>> = {
  backprop: backprop(),
  'forward gradient, rank one': forwardGradient({ sampler: lowRank({ rank: 1 }) }),
  'forward gradient, rademacher': forwardGradient({ sampler: rademacher() }),
  'forward gradient, gaussian': forwardGradient({ sampler: gaussian() }),
  'forward gradient, 8 directions of rank one': forwardGradient({ sampler: lowRank({ rank: 1 }), directions: 8 }),
};

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

async function rows(threads: number): Promise<string[]> {
  const lines: string[] = [];
  for (const batchSize of [64, 512]) {
    const plans = await timedPlans(mlp(), [784], batchSize, estimators, { device: 'cpu', threads });
    const ratios = await measureRatios(plans, 15, batchSize > 64 ? 2 : 5);
    lines.push(`| ${batchSize} | ${threads} | forward pass | ${ratios[0]?.forwardMilliseconds.toFixed(2)} | 1 |`);
    for (const { name, milliseconds, ratio } of ratios) {
      lines.push(`| ${batchSize} | ${threads} | ${name} | ${milliseconds.toFixed(2)} | ${ratio.toFixed(2)} |`);
    }
    plans.session.dispose();
  }
  return lines;
}

/** Prints the table, and with --write puts it between the markers of README.md. */
export async function stepBenchmark(flags: readonly string[]): Promise<void> {
  const { session } = await timedPlans(mlp(), [784], 1, {}, { device: 'cpu' });
  const { isa } = session;
  session.dispose();
  const table = [
    `MLP 784-1024-1024-10, float32, plain SGD. ${cpus()[0]?.model.trim()}, ${isa}, Node ${process.version}, commit ${commit()}. Medians of 15 interleaved rounds.`,
    '',
    '| batch | threads | step | ms | × forward |',
    '|---|---|---|---|---|',
    ...(await rows(1)),
    ...(await rows(2)),
  ].join('\n');
  console.log(table);
  if (!flags.includes('--write')) return;
  const readme = new URL('../README.md', import.meta.url);
  const text = readFileSync(readme, 'utf8');
  const marked = /<!-- bench:step -->[\s\S]*<!-- \/bench:step -->/;
  if (!marked.test(text)) throw new Error('README.md has no bench:step markers');
  writeFileSync(readme, text.replace(marked, `<!-- bench:step -->\n${table}\n<!-- /bench:step -->`));
}
