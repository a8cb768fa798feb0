// What the estimators' studies have found, on file: a line of JSON for each run or measurement, so that rows from several processes and days
// make one table, and no run is done twice. Whoever changes what a study trains removes its lines.
import { appendFileSync, readFileSync } from 'node:fs';

/** One training run, by what it depends on. */
export interface Setting {
  readonly study: string;
  readonly method: string;
  /** Where the error is taken: on the test set, or on the last sixth of the training images, trained on the rest. */
  readonly on: 'test' | 'validation';
  readonly rate: number;
  readonly steps: number;
  readonly seed: number;
}

export interface Outcome {
  /** Percent; null where the run ended NUMERIC. */
  readonly error: number | null;
  /** Tape and workspace. */
  readonly bytes: number;
}

/** Milliseconds of a step of every method of a study, measured in turns. */
export interface StepTimes {
  readonly study: string;
  readonly machine: string;
  readonly milliseconds: Readonly<Record<string, { readonly median: number; readonly least: number }>>;
}

type Run = Setting & Outcome;

const file = new URL('estimator_results.jsonl', import.meta.url);

function lines(): (Run | StepTimes)[] {
  const text = readFileSync(file, 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Run | StepTimes);
}

/** Appends a line: whole, whatever other processes append. */
export function record(line: Run | StepTimes): void {
  appendFileSync(file, `${JSON.stringify(line)}\n`);
}

const names: readonly (keyof Setting)[] = ['study', 'method', 'on', 'rate', 'steps', 'seed'];

/** The run with this setting, where there has been one. */
export function onFile(setting: Setting): Outcome | undefined {
  return lines().find((line): line is Run => 'on' in line && names.every((name) => line[name] === setting[name]));
}

/** The study's last measurement. */
export function stepTimes(study: string): StepTimes | undefined {
  return lines()
    .reverse()
    .find((line): line is StepTimes => 'milliseconds' in line && line.study === study);
}
