// Cases of random: no input and no tangent. Its law is judged in test/random.test.ts.
import type { OpCase } from './case.ts';

/** Cases of random. */
export const randomCases: readonly OpCase[] = (['uniform', 'gaussian', 'rademacher'] as const).flatMap((distribution) =>
  [[], [7], [3, 5], [2, 3, 130]].map(
    (shape, i): OpCase => ({
      op: 'random',
      attributes: i === 0 ? { shape, distribution } : { shape, distribution, stream: 16 + i, parameter: 1000 * i },
      inputs: [],
      integers: [],
      kind: 'random',
    }),
  ),
);
