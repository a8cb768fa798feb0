// Reads test/golden: truths made with PyTorch and NumPy in float64.
import { readFileSync } from 'node:fs';

/** A tensor in the golden files. */
export interface GoldenTensor {
  readonly shape: number[];
  readonly data: number[];
}

/** One op at one input. */
export interface OpCase {
  readonly op: string;
  readonly attributes: Record<string, unknown>;
  readonly inputs: GoldenTensor[];
  readonly tangents: GoldenTensor[];
  readonly output: GoldenTensor;
  readonly outputTangent: GoldenTensor;
  readonly outputCotangent: GoldenTensor;
  readonly inputCotangents: GoldenTensor[];
  readonly indices?: Record<string, GoldenTensor>;
  readonly constants?: Record<string, GoldenTensor>;
}

/** A whole training run. */
export interface TrainingRun {
  readonly network: { readonly kind: string; readonly widths?: number[] };
  readonly gradient: 'backprop' | 'forwardGradient';
  readonly perturb: string | null;
  readonly sampler: string | null;
  readonly rank: number | null;
  readonly perExample: boolean;
  readonly combine: 'mean' | 'projection';
  readonly directions: number;
  readonly optimizer: 'sgd' | 'nesterov' | 'adam';
  readonly learningRate: number;
  readonly decay: number;
  readonly seed: number;
  readonly batchSize: number;
  readonly losses: number[];
  readonly directionalDerivatives: number[][];
  readonly finalParameters: { shape: number[]; sum: number; sumOfSquares: number; first8: number[] }[];
}

/** Random numbers by the contract. */
export interface RandomExample {
  readonly stream: number;
  readonly parameter: number;
  readonly direction: number;
  readonly step: number;
  readonly seed: string;
  readonly shape: number[];
  readonly firstWords: number[];
  readonly gaussian: number[];
  readonly rademacher: number[];
  readonly uniform: number[];
}

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`golden/${name}`, import.meta.url), 'utf8')) as T;
}

/** ops.json */
export const opCases: OpCase[] = read<{ cases: OpCase[] }>('ops.json').cases;

/** training.json */
export const training: { random: { examples: RandomExample[] }; runs: TrainingRun[] } = read('training.json');
