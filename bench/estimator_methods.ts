// Every way to estimate a gradient that the studies compare, in the order of the tables.
import { backprop, forwardGradient, type GradientEstimator, spsa } from '../src/estimators/gradient.ts';
import { type Model, nn } from '../src/nn/index.ts';
import { lowRank, rademacher } from '../src/samplers.ts';

export interface Method {
  readonly gradient: GradientEstimator;
  /** Where the search for its rate begins, 10^(rung/2). */
  readonly rung: number;
  /** Local losses: each hidden layer is a block whose head has so many groups. None: one loss, that of the output. */
  readonly groups?: number;
}

const directions = 4;
const activities = forwardGradient({ perturb: 'activations', directions });
const exactLast = forwardGradient({ perturb: 'activations', directions, exactLast: true });
const rankOne = { sampler: lowRank({ rank: 1 }), directions };

export const methods: Readonly<Record<string, Method>> = {
  backprop: { gradient: backprop(), rung: -5 },
  'backprop, checkpointed': { gradient: backprop({ checkpoint: true }), rung: -5 },
  activities: { gradient: activities, rung: -5 },
  'activities, exactLast': { gradient: exactLast, rung: -4 },
  'local losses, backprop in blocks': { gradient: backprop(), groups: 1, rung: -4 },
  'local losses, activities': { gradient: activities, groups: 1, rung: -4 },
  'local losses, activities, exactLast': { gradient: exactLast, groups: 1, rung: -3 },
  'local losses in 8 groups, activities': { gradient: activities, groups: 8, rung: -4 },
  'local losses in 8 groups, activities, exactLast': { gradient: exactLast, groups: 8, rung: -3 },
  'per example, rank one': { gradient: forwardGradient({ ...rankOne, perExample: true }), rung: -6 },
  'weights, rank one': { gradient: forwardGradient(rankOne), rung: -6 },
  'weights, rademacher': { gradient: forwardGradient({ sampler: rademacher(), directions }), rung: -6 },
  'weights, rank one, projection': { gradient: forwardGradient({ ...rankOne, combine: 'projection' }), rung: -6 },
  spsa: { gradient: spsa({ sampler: rademacher(), directions }), rung: -6 },
};

/** How the method takes a hidden layer: as it is, or as a block. */
export function hiddenLayer({ groups }: Method): (layer: Model) => Model {
  if (groups === undefined) return (layer) => layer;
  return (layer) => nn.block(layer, { loss: nn.localHead({ outputs: 10, groups }) });
}
