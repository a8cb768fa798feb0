// Every way to estimate a gradient that the studies compare, in the order of the tables.
import { backprop, forwardGradient, type GradientEstimator, spsa } from '../src/estimators/gradient.ts';
import { type Model, nn } from '../src/nn/index.ts';
import { lowRank, rademacher } from '../src/samplers.ts';

export interface Method {
  readonly gradient: GradientEstimator;
  /** Local losses: each hidden layer is a block whose head has so many groups. None: one loss, that of the output. */
  readonly groups?: number;
}

const directions = 4;
const activities = forwardGradient({ perturb: 'activations', directions });
const exactLast = forwardGradient({ perturb: 'activations', directions, exactLast: true });

export const methods: Readonly<Record<string, Method>> = {
  backprop: { gradient: backprop() },
  'backprop, checkpointed': { gradient: backprop({ checkpoint: true }) },
  activities: { gradient: activities },
  'activities, exactLast': { gradient: exactLast },
  'local losses, backprop in blocks': { gradient: backprop(), groups: 1 },
  'local losses, activities': { gradient: activities, groups: 1 },
  'local losses, activities, exactLast': { gradient: exactLast, groups: 1 },
  'local losses in 8 groups, activities': { gradient: activities, groups: 8 },
  'local losses in 8 groups, activities, exactLast': { gradient: exactLast, groups: 8 },
  'per example, rank one': {
    gradient: forwardGradient({ perExample: true, sampler: lowRank({ rank: 1 }), directions }),
  },
  'weights, rank one': { gradient: forwardGradient({ sampler: lowRank({ rank: 1 }), directions }) },
  'weights, rademacher': { gradient: forwardGradient({ sampler: rademacher(), directions }) },
  'weights, rank one, projection': {
    gradient: forwardGradient({ sampler: lowRank({ rank: 1 }), directions, combine: 'projection' }),
  },
  spsa: { gradient: spsa({ sampler: rademacher(), directions }) },
};

/** How the method takes a hidden layer: as it is, or as a block. */
export function hiddenLayer({ groups }: Method): (layer: Model) => Model {
  if (groups === undefined) return (layer) => layer;
  return (layer) => nn.block(layer, { loss: nn.localHead({ outputs: 10, groups }) });
}
