// npm run bench -- step [--write]: what a training step costs. npm run bench -- ops [name…]: what every op costs.
import { cnnBenchmark } from './cnn.ts';
import { deepBenchmark } from './deep.ts';
import { estimatorsBenchmark } from './estimators.ts';

import { opsBenchmark } from './ops.ts';
import { peersBenchmark } from './peers.ts';
import { stepBenchmark } from './step.ts';

const [name = 'step', ...flags] = process.argv.slice(2);
const benchmarks: Readonly<Record<string, (flags: readonly string[]) => Promise<void>>> = {
  step: stepBenchmark,
  cnn: cnnBenchmark,
  ops: opsBenchmark,
  deep: deepBenchmark,
  peers: peersBenchmark,
  estimators: estimatorsBenchmark,
};
const benchmark = Object.hasOwn(benchmarks, name) ? benchmarks[name] : undefined;
if (benchmark === undefined) {
  console.error(`bench: expected ${Object.keys(benchmarks).join(', ')} but received ${name}`);
  process.exitCode = 1;
} else {
  await benchmark(flags);
}
