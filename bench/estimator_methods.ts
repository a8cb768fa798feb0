// Every way to estimate a gradient that the studies compare, in the order of the tables: a model may need its own form (local losses).
import { backprop, forwardGradient, type GradientEstimator } from '../src/estimators/gradient.ts';
import { lowRank, rademacher } from '../src/samplers.ts';

const directions = 4;

export const methods: Readonly<Record<string, GradientEstimator>> = {
  backprop: backprop(),
  'backprop, checkpointed': backprop({ checkpoint: true }),
  activities: forwardGradient({ perturb: 'activations', directions }),
  'activities, exactLast': forwardGradient({ perturb: 'activations', directions, exactLast: true }),
  'per example, rank one': forwardGradient({ perExample: true, sampler: lowRank({ rank: 1 }), directions }),
  'weights, rank one': forwardGradient({ sampler: lowRank({ rank: 1 }), directions }),
  'weights, rademacher': forwardGradient({ sampler: rademacher(), directions }),
};
