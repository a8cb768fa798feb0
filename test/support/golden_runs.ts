// A golden training run taken again: losses, directional derivatives and final parameters, each held to golden/README.md's tolerance.
import * as assert from 'uvu/assert';
import {
  adam,
  type Batch,
  backprop,
  data,
  exponentialDecay,
  forwardGradient,
  type GradientEstimator,
  gaussian,
  lowRank,
  type Model,
  nn,
  type Optimizer,
  ops,
  type RunOptions,
  rademacher,
  type Sampler,
  sgd,
  sphere,
  type Tensor,
  Trainer,
  tensor,
} from '../../src/index.ts';
import { type TrainingRun, training } from '../golden.ts';
import { thinned } from './targets.ts';

/** Relative to max(1, |·|): golden/README.md. */
export interface Tolerance {
  readonly loss: number;
  readonly derivative: number;
  readonly parameter: number;
}
export const float64: Tolerance = { loss: 1e-10, derivative: 1e-9, parameter: 1e-9 };
export const float32: Tolerance = { loss: 5e-6, derivative: 2e-5, parameter: 2e-5 };

const samplers: Record<string, (run: TrainingRun) => Sampler> = {
  gaussian: () => gaussian(),
  rademacher: () => rademacher(),
  sphere: () => sphere(),
  lowRank: ({ rank }) => lowRank({ rank: rank as number }),
};

function optimizerOf({ optimizer, learningRate, decay }: TrainingRun): Optimizer {
  const rate = exponentialDecay(learningRate, decay);
  if (optimizer === 'adam') return adam({ learningRate: rate });
  return optimizer === 'nesterov'
    ? sgd({ learningRate: rate, momentum: 0.9, nesterov: true })
    : sgd({ learningRate: rate });
}

/** An MLP of the given widths, or one small convolution. */
function networkOf({ network }: TrainingRun): { layers: Model[]; inputShape: number[] } {
  if (network.kind === 'cnn') {
    const conv = nn.conv2d(4, { kernel: 3, padding: 1, activation: 'relu' });
    return { layers: [conv, nn.maxPool2d({ window: 2 }), nn.flatten(), nn.dense(10)], inputShape: [28, 28, 1] };
  }
  const [inputs = 0, ...widths] = network.widths ?? [];
  const layers = widths.map((width, i) => nn.dense(width, { activation: i < widths.length - 1 ? 'relu' : 'none' }));
  return { layers, inputShape: [inputs] };
}

function estimatorOf({
  gradient,
  perturb,
  sampler,
  perExample,
  directions,
  combine,
  ...run
}: TrainingRun): GradientEstimator {
  if (gradient === 'backprop') return backprop();
  if (perturb === 'activities') return forwardGradient({ perturb: 'activations', directions });
  const law = samplers[sampler as string]?.(run as TrainingRun) as Sampler;
  return forwardGradient({ sampler: law, directions, perExample, combine });
}

export function trainerOf(run: TrainingRun, options: RunOptions): Trainer {
  const { layers, inputShape } = networkOf(run);
  return new Trainer({
    model: nn.sequential(...layers),
    inputShape,
    loss: ops.softmaxCrossEntropy,
    gradient: estimatorOf(run),
    optimizer: optimizerOf(run),
    seed: run.seed,
    ...options,
  });
}

async function firstBatch(batches: AsyncIterable<Batch>): Promise<Batch> {
  for await (const batch of batches) return batch;
  throw new Error('no batch');
}

/** Pixels / 255 in float64, as in the golden runs: float32 loses 3e-8 of them. */
function inFloat64({ inputs, targets }: Batch): Batch {
  const { data, shape } = inputs as Tensor;
  return {
    inputs: tensor(
      Float64Array.from(data, (value) => Math.round(value * 255) / 255),
      shape,
    ),
    targets,
  };
}

function close(
  what: string,
  actual: number,
  expected: number,
  tolerance: number,
  scale = Math.max(1, Math.abs(expected)),
): void {
  const error = Math.abs(actual - expected) / scale;
  assert.ok(error <= tolerance, `${what}: ${actual} for ${expected}, off by ${error}, allowed ${tolerance}`);
}

async function checkRun(run: TrainingRun, options: RunOptions, tolerance: Tolerance): Promise<void> {
  const trainer = trainerOf(run, options);
  const { train } = await data.mnist({ inputShape: networkOf(run).inputShape });
  for (const [step, loss] of run.losses.entries()) {
    const slice = train.slice(step * run.batchSize, (step + 1) * run.batchSize);
    const batch = await firstBatch(slice.batches({ batchSize: run.batchSize }));
    const result = await trainer.step(options.device === 'reference' ? inFloat64(batch) : batch);
    close(`loss ${step}`, result.loss, loss, tolerance.loss);
    for (const [k, c] of (run.directionalDerivatives[step] ?? []).entries()) {
      close(`derivative ${step}, ${k}`, result.directionalDerivatives?.[k] as number, c, tolerance.derivative);
    }
  }
  const parameters = Object.values(await trainer.parameters());
  for (const [i, expected] of run.finalParameters.entries()) {
    const values = parameters[i]?.data as Float32Array;
    assert.equal([...(parameters[i]?.shape ?? [])], expected.shape);
    const rms = Math.sqrt(expected.sumOfSquares / values.length);
    let sum = 0;
    let squares = 0;
    for (const value of values) {
      sum += value;
      squares += value * value;
    }
    close(
      `sum of parameter ${i}`,
      sum,
      expected.sum,
      tolerance.parameter,
      rms * Math.sqrt(values.length) + Math.abs(expected.sum),
    );
    close(`squares of parameter ${i}`, squares, expected.sumOfSquares, tolerance.parameter, expected.sumOfSquares);
    for (const [j, first] of expected.first8.entries())
      close(`parameter ${i}[${j}]`, values[j] as number, first, tolerance.parameter, rms);
  }
  trainer.dispose();
}

export async function checkAll(options: RunOptions, tolerance: Tolerance): Promise<void> {
  for (const [i, run] of training.runs.entries()) {
    if (thinned && options.fuse === false && i % 3 !== 0) continue;
    try {
      await checkRun(run, options, tolerance);
    } catch (error) {
      if (error instanceof Error)
        error.message = `run ${i} (${run.gradient} ${run.sampler} ${run.optimizer}): ${error.message}`;
      throw error;
    }
  }
}
