// The networks, data and budgets on which estimators are compared.
import { type Model, nn } from '../src/nn/index.ts';
import { adam, type Optimizer } from '../src/optimizers.ts';
import type { Schedule } from '../src/schedules.ts';
import { cnn } from './cnn.ts';
import { type Method, methods } from './estimator_methods.ts';

export interface Study {
  readonly data: string;
  readonly shape: readonly number[];
  /** Training images, where not all. */
  readonly examples?: number;
  /** Of the hidden layers as the method takes them. */
  readonly model: (hidden: (layer: Model) => Model) => Model;
  readonly methods: Readonly<Record<string, Method>>;
  readonly precision: 'f32' | 'bf16';
  readonly batchSize: number;
  readonly optimizer: (learningRate: Schedule) => Optimizer;
  readonly epochs: number;
  readonly tuningEpochs: number;
  /** Of the fixed time. */
  readonly seconds: number;
  /** 0 … seeds − 1 */
  readonly seeds: number;
}

const mlp = (width: number): Pick<Study, 'shape' | 'model'> => ({
  shape: [784],
  model: (hidden) =>
    nn.sequential(
      hidden(nn.dense(width, { activation: 'relu' })),
      hidden(nn.dense(width, { activation: 'relu' })),
      nn.dense(10),
    ),
});

const shared = {
  data: 'MNIST',
  methods,
  precision: 'f32',
  batchSize: 128,
  optimizer: (learningRate: Schedule) => adam({ learningRate }),
} as const;

/** Of the methods, those named. */
const some = (...names: readonly string[]): Study['methods'] =>
  Object.fromEntries(names.map((name) => [name, methods[name] as Method]));

/** Those that a convolution does not refuse. */
const { 'per example, rank one': _, ...convolutional } = methods;

const best = some('backprop', 'activities', 'local losses in 8 groups, activities, exactLast');

export const studies: Readonly<Record<string, Study>> = {
  mlp256: { ...shared, ...mlp(256), epochs: 10, tuningEpochs: 5, seconds: 10, seeds: 3 },
  mlp512: { ...shared, ...mlp(512), methods: best, epochs: 20, tuningEpochs: 10, seconds: 40, seeds: 3 },
  mlp1024: { ...shared, ...mlp(1024), epochs: 2, tuningEpochs: 1, seconds: 15, seeds: 2 },
  cnn: {
    ...shared,
    shape: [28, 28, 1],
    model: cnn,
    methods: convolutional,
    examples: 6_000,
    precision: 'bf16',
    batchSize: 64,
    epochs: 2,
    tuningEpochs: 1,
    seconds: 20,
    seeds: 1,
  },
  fashion: { ...shared, ...mlp(256), data: 'Fashion-MNIST', epochs: 5, tuningEpochs: 3, seconds: 10, seeds: 3 },
};
