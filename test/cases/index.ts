// All cases, by family.
import { attentionCases } from './attention.ts';
import type { OpCase } from './case.ts';
import { convCases } from './conv.ts';
import { dropoutCases } from './dropout.ts';
import { elementwiseCases } from './elementwise.ts';
import { gatherCases } from './gather.ts';
import { lossCases } from './loss.ts';
import { normCases } from './norm.ts';
import { productCases } from './product.ts';
import { randomCases } from './random.ts';
import { reduceCases } from './reduce.ts';
import { shapeCases } from './shape.ts';

export * from './case.ts';

/** Every case of every op. */
export const opCases: readonly OpCase[] = [
  ...elementwiseCases,
  ...productCases,
  ...convCases,
  ...reduceCases,
  ...lossCases,
  ...shapeCases,
  ...randomCases,
  ...normCases,
  ...gatherCases,
  ...dropoutCases,
  ...attentionCases,
];
