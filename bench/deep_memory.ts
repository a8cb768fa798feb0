// Memory of the deep net. Each row is a process of its own: it loads the addon, opens a session and notes its resident set (VmRSS); then
// it makes inputs and trainer, takes steps, and notes the most that was ever resident (VmHWM). The difference less one copy of the
// parameters is what training needs beyond them: inputs, their copies, workspace, tape, plans, and whatever the allocators keep.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { ops } from '../src/ops/index.ts';
import { sgd } from '../src/optimizers.ts';
import { openSession, toTarget } from '../src/plan/engine.ts';
import { tensor } from '../src/tensor.ts';
import { Trainer } from '../src/trainer/trainer.ts';
import { deepEstimators, deepModel } from './deep.ts';
import { table } from './report.ts';

/** What a process measures. */
export interface MemorySetting {
  readonly layers: number;
  readonly width: number;
  readonly batch: number;
  /** Of {@link deepEstimators}, or 'evaluate' for the forward pass alone. */
  readonly step: string;
  readonly steps: number;
  readonly threads: number;
}

/** What it found, in bytes. */
export interface MemoryFound {
  /** Resident before inputs and trainer. */
  readonly before: number;
  /** The most that was resident. */
  readonly peak: number;
  readonly parameters: number;
  readonly workspace: number;
  readonly tape: number;
  /** peak − before − parameters */
  readonly beyond: number;
}

function status(field: 'VmRSS' | 'VmHWM'): number {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync('/proc/self/status', 'utf8'));
  return 1024 * Number(found?.[1]);
}

async function measureHere({ layers, width, batch, step, steps, threads }: MemorySetting): Promise<MemoryFound> {
  openSession(toTarget('bench', { device: 'cpu', threads })).dispose();
  writeFileSync('/proc/self/clear_refs', '5'); // VmHWM begins anew
  const before = status('VmRSS');
  const trainer = new Trainer({
    model: deepModel(layers, width),
    inputShape: [width],
    loss: ops.meanSquaredError,
    gradient: deepEstimators[step] ?? deepEstimators.backprop!,
    optimizer: sgd({ learningRate: 1e-6 }),
    device: 'cpu',
    threads,
  });
  const rows = (): ReturnType<typeof tensor> =>
    tensor(Float32Array.from({ length: batch * width }, Math.random), [batch, width]);
  const data = { inputs: rows(), targets: rows() };
  const source = {
    *[Symbol.iterator]() {
      yield data;
    },
  };
  for (let i = 0; i < steps; i++) await (step === 'evaluate' ? trainer.evaluate(source as never) : trainer.step(data));
  const { parameters, workspace, tape } = trainer.memory();
  const peak = status('VmHWM');
  return { before, peak, parameters, workspace, tape, beyond: peak - before - parameters };
}

/** The same, in a new process. */
export function measureMemory(setting: MemorySetting): MemoryFound {
  const args = ['--import', 'tsx', fileURLToPath(import.meta.url), JSON.stringify(setting)];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as MemoryFound;
}

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);

/** A row a setting: forward gradients and backprop at 10 layers and at `layers`. */
export function memoryTable(layers: number, width: number): string {
  const rows: string[][] = [];
  for (const batch of [64, 1024]) {
    for (const step of Object.keys(deepEstimators)) {
      for (const depth of [Math.min(10, layers), layers]) {
        const steps = batch > 64 ? 3 : 10;
        const found = measureMemory({ layers: depth, width, batch, step, steps, threads: availableParallelism() });
        const { before, parameters, workspace, tape, beyond } = found;
        rows.push([
          String(depth),
          String(batch),
          step,
          ...[before, parameters, workspace, tape, beyond].map(mebibytes),
        ]);
      }
    }
  }
  const head = ['layers', 'batch', 'step', 'before', 'parameters', 'workspace', 'tape', 'peak beyond both'];
  return `MiB; ${availableParallelism()} threads.\n\n${table(head, rows)}`;
}

const [, script, setting] = process.argv;
if (script === fileURLToPath(import.meta.url)) {
  console.log(JSON.stringify(await measureHere(JSON.parse(setting as string) as MemorySetting)));
}
