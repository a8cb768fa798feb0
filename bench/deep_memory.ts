// Memory of the deep net. Each row is a process of its own (memory_process.mjs): it loads the addon, computes something small, and notes its
// resident set, VmRSS; then it makes inputs and trainer, takes steps, and notes the most that was ever resident since, VmHWM. The
// difference less one copy of the parameters is what training needs beyond them: inputs, their copies, workspace, tape, plans, and what
// the allocators keep.
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { deepEstimators } from './deep.ts';
import { table } from './report.ts';

/** What a process measures. */
export interface MemorySetting {
  readonly layers: number;
  readonly width: number;
  readonly batch: number;
  /** A name of {@link deepEstimators}. */
  readonly step: string;
  readonly steps: number;
}

/** What it found, in bytes. */
export interface MemoryFound {
  /** Resident before inputs and trainer. */
  readonly before: number;
  /** The most that was resident since. */
  readonly peak: number;
  readonly parameters: number;
  readonly workspace: number;
  readonly tape: number;
  /** peak − before − parameters */
  readonly beyond: number;
}

/** Measures in a new process, with the package as built in dist/. */
export function measureMemory(setting: MemorySetting): MemoryFound {
  const script = fileURLToPath(new URL('memory_process.mjs', import.meta.url));
  return JSON.parse(execFileSync(process.execPath, [script, JSON.stringify(setting)], { encoding: 'utf8' }));
}

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);

/** A row for each estimator, at 10 layers and at `layers`. */
export function memoryTable(layers: number, width: number, batches: readonly number[] = [64, 1024]): string {
  const rows: string[][] = [];
  for (const batch of batches) {
    for (const step of Object.keys(deepEstimators)) {
      for (const depth of [Math.min(10, layers), layers]) {
        const steps = batch > 64 ? 4 : 10;
        const { before, ...found } = measureMemory({ layers: depth, width, batch, step, steps });
        const bytes = [before, found.parameters, found.workspace, found.tape, found.beyond];
        rows.push([String(batch), step, String(depth), ...bytes.map(mebibytes)]);
      }
    }
  }
  const head = ['batch', 'step', 'layers', 'process before', 'parameters', 'workspace', 'tape', 'peak beyond'];
  return `MiB, ${availableParallelism()} threads.\n\n${table(head, rows)}`;
}
