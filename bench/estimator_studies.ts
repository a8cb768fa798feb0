// The networks, data and budgets on which estimators are compared.
import { forwardGradient } from '../src/estimators/gradient.ts';
import { type Model, nn } from '../src/nn/index.ts';
import { adam, type Optimizer } from '../src/optimizers.ts';
import { lowRank } from '../src/samplers.ts';
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

const those = (chosen: (name: string) => boolean): Study['methods'] =>
  Object.fromEntries(Object.entries(methods).filter(([name]) => chosen(name)));

/** Near in cost and in error to others of the smaller studies, and too slow for the larger. */
const left = ['local losses, activities', 'weights, rademacher'];
const best = ['backprop', 'activities', 'local losses in 8 groups, activities, exactLast'];

/** The paper's estimator with as many directions as let the bare forward pass, which they share, cost little. */
const plain: Study['methods'] = {
  'weights, rank one, 16 directions': {
    gradient: forwardGradient({ sampler: lowRank({ rank: 1 }), directions: 16 }),
    rung: -6,
  },
};

export const studies: Readonly<Record<string, Study>> = {
  mlp256: { ...shared, ...mlp(256), epochs: 10, tuningEpochs: 10, seconds: 10, seeds: 3 },
  mlp512: {
    ...shared,
    ...mlp(512),
    methods: those((name) => best.includes(name)),
    epochs: 20,
    tuningEpochs: 10,
    seconds: 40,
    seeds: 3,
  },
  mlp1024: {
    ...shared,
    ...mlp(1024),
    methods: those((name) => !left.includes(name)),
    epochs: 1,
    tuningEpochs: 1,
    seconds: 10,
    seeds: 2,
  },
  cnn: {
    ...shared,
    shape: [28, 28, 1],
    model: cnn,
    methods: those((name) => !left.includes(name) && name !== 'per example, rank one'), // refused by a convolution
    examples: 6_000,
    precision: 'bf16',
    batchSize: 32,
    epochs: 3,
    tuningEpochs: 1,
    seconds: 10,
    seeds: 2,
  },
  weights: { ...shared, ...mlp(256), methods: plain, epochs: 50, tuningEpochs: 10, seconds: 60, seeds: 2 },
  fashion: { ...shared, ...mlp(256), data: 'Fashion-MNIST', epochs: 5, tuningEpochs: 5, seconds: 10, seeds: 2 },
};
