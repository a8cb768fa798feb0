// The one error class, and the checks of input that every public call uses. A sentence has both sides: what was expected, what came.

/**
 * What went wrong, in a word a program can test.
 *
 * - `SHAPE_MISMATCH`, `DTYPE_MISMATCH`: tensors whose shapes or element types do not fit each other or the call;
 * - `INVALID_ARGUMENT`: any other argument out of its range, of the wrong type, or not available in this version;
 * - `NOT_DIFFERENTIABLE`, `NO_KERNEL`: an op without the rule or the kernel that the plan needs;
 * - `NO_DEVICE`, `OUT_OF_MEMORY`: the machine lacks it;
 * - `BUSY`, `DISPOSED`, `ABORTED`: the state of the object that was called;
 * - `NUMERIC`: a loss or a directional derivative that is not finite;
 * - `CORRUPT_FILE`, `VERSION`: a file that is damaged, or was written by another version.
 */
export type ErrorCode =
  | 'SHAPE_MISMATCH'
  | 'DTYPE_MISMATCH'
  | 'INVALID_ARGUMENT'
  | 'NOT_DIFFERENTIABLE'
  | 'NO_KERNEL'
  | 'NO_DEVICE'
  | 'OUT_OF_MEMORY'
  | 'BUSY'
  | 'DISPOSED'
  | 'ABORTED'
  | 'NUMERIC'
  | 'CORRUPT_FILE'
  | 'VERSION';

const codes: ReadonlySet<string> = new Set<ErrorCode>([
  'SHAPE_MISMATCH',
  'DTYPE_MISMATCH',
  'INVALID_ARGUMENT',
  'NOT_DIFFERENTIABLE',
  'NO_KERNEL',
  'NO_DEVICE',
  'OUT_OF_MEMORY',
  'BUSY',
  'DISPOSED',
  'ABORTED',
  'NUMERIC',
  'CORRUPT_FILE',
  'VERSION',
]);

/** The only class of errors this package throws or rejects with. Its message is `[op or call] expected … but received …`. */
export class PushforwardError extends Error {
  /** What went wrong, in a word a program can test. */
  readonly code: ErrorCode;

  /** @internal */
  constructor(code: ErrorCode, sentence: string);
  /**
   * @param code what went wrong
   * @param where the op or call, without brackets: `dense`, `Trainer.fit`
   * @param expected the right-hand side of "expected"
   * @param received the right-hand side of "but received"
   * @param options `cause`: the error underneath, if there is one
   */
  constructor(code: ErrorCode, where: string, expected: string, received: string, options?: { cause?: unknown });
  constructor(code: ErrorCode, where: string, expected?: string, received?: string, options?: { cause?: unknown }) {
    super(expected === undefined ? where : `[${where}] expected ${expected} but received ${received}`, options);
    this.code = code;
  }

  /**
   * An error whose sentence the native side composed.
   * @internal
   */
  static fromNative(code: string, sentence: string): PushforwardError {
    return new PushforwardError(codes.has(code) ? (code as ErrorCode) : 'INVALID_ARGUMENT', sentence);
  }
}
// On the prototype, as for the language's own errors: not an own property of every error that is printed.
Object.defineProperty(PushforwardError.prototype, 'name', {
  value: 'PushforwardError',
  writable: true,
  configurable: true,
});

const descriptions = new WeakMap<object, (instance: never) => string>();

/**
 * Says how `describe` renders the instances of a class, in a few words with the article: "a float32 Tensor of shape [2]".
 * @internal
 */
export function describeAs<T extends object>(prototype: T, render: (instance: T) => string): void {
  descriptions.set(prototype, render);
}

function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}

function withArticle(noun: string): string {
  return `${/^[AEIOaeio]/.test(noun) ? 'an' : 'a'} ${noun}`;
}

function describePrimitive(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(shorten(value, 60));
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'bigint':
      return `${shorten(String(value), 40)}n`;
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'symbol':
      return 'a symbol';
    default:
      return value === null ? 'null' : undefined;
  }
}

function describeArray(array: readonly unknown[]): string {
  const shown: string[] = [];
  for (let i = 0; i < Math.min(array.length, 9); i++) {
    const item = describePrimitive(array[i]);
    if (item === undefined) return `an array of length ${array.length}`;
    shown.push(item);
  }
  if (array.length <= 9) return `[${shown.join(', ')}]`;
  return `[${shown.slice(0, 6).join(', ')}, …] of length ${array.length}`;
}

function describeObject(value: object): string {
  if (Array.isArray(value)) return describeArray(value);
  const render = descriptions.get(Object.getPrototypeOf(value) ?? value);
  if (render !== undefined) return render(value as never);
  if (typeof value === 'function') return value.name ? `the function ${shorten(value.name, 40)}` : 'a function';
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    const view = value as Uint8Array;
    return `${withArticle(view.constructor.name)} of length ${view.length}`;
  }
  if (value instanceof Error) return `the error ${JSON.stringify(shorten(value.message, 80))}`;
  if (typeof (value as PromiseLike<unknown>).then === 'function') return 'a promise';
  if (!isPlainObject(value)) {
    const name: unknown = value.constructor?.name;
    return typeof name === 'string' && name !== '' ? withArticle(shorten(name, 40)) : 'an object';
  }
  const keys = Object.keys(value);
  if (keys.length === 0) return 'an empty object';
  const shown = keys.slice(0, 5).map((key) => shorten(key, 30));
  return `an object with ${keys.length === 1 ? 'the key' : 'the keys'} ${shown.join(', ')}${keys.length > 5 ? ', …' : ''}`;
}

/**
 * A received value in a few words, for the end of a sentence: its type, its shape or length, a short value as it is. It never throws,
 * whatever it is given, and never grows long.
 * @internal
 */
export function describe(value: unknown): string {
  try {
    return describePrimitive(value) ?? describeObject(value as object);
  } catch {
    return 'a value that cannot be described';
  }
}

/**
 * A shape as the sentences write it: `[2, 3]`.
 * @internal
 */
export function describeShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

/**
 * Words as the sentences list them: `'a', 'b' or 'c'`.
 * @internal
 */
export function describeChoices(choices: readonly string[]): string {
  const quoted = choices.map((choice) => `'${choice}'`);
  if (quoted.length < 2) return quoted.join('');
  return `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
}

/**
 * Whether a value is a literal-like object: of no class, also one from another realm or without a prototype.
 * @internal
 */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function invalid(where: string, expected: string, value: unknown): PushforwardError {
  return new PushforwardError('INVALID_ARGUMENT', where, expected, describe(value));
}

function large(limit: number): string {
  if (limit === Number.MAX_SAFE_INTEGER) return '2^53 - 1';
  const power = Math.log2(limit + 1);
  return limit >= 65_535 && Number.isInteger(power) ? `2^${power} - 1` : String(limit);
}

/**
 * Requires an integer in [min, max]. Defaults: 0 and 2^53 − 1. Throws INVALID_ARGUMENT.
 * @internal
 */
export function assertInteger(
  where: string,
  name: string,
  value: unknown,
  min = 0,
  max: number = Number.MAX_SAFE_INTEGER,
): asserts value is number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return;
  throw invalid(where, `${name} to be an integer from ${min} to ${large(max)}`, value);
}

/** Which ends of a range are excluded. */
interface Range {
  min?: number;
  max?: number;
  /** The value must be above `min`, not equal to it. */
  above?: boolean;
  /** The value must be below `max`, not equal to it. */
  below?: boolean;
}

/**
 * Requires a finite number in a range. Throws INVALID_ARGUMENT.
 * @internal
 */
export function assertFinite(where: string, name: string, value: unknown, range: Range = {}): asserts value is number {
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY, above = false, below = false } = range;
  const fits =
    typeof value === 'number' &&
    Number.isFinite(value) &&
    (above ? value > min : value >= min) &&
    (below ? value < max : value <= max);
  if (fits) return;
  const ends = [
    Number.isFinite(min) ? `${above ? 'above' : 'of at least'} ${min}` : '',
    Number.isFinite(max) ? `${below ? 'below' : 'at most'} ${max}` : '',
  ].filter((end) => end !== '');
  throw invalid(where, `${name} to be a finite number${ends.length > 0 ? ` ${ends.join(' and ')}` : ''}`, value);
}

/**
 * Requires true or false. Throws INVALID_ARGUMENT.
 * @internal
 */
export function assertBoolean(where: string, name: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') throw invalid(where, `${name} to be true or false`, value);
}

/**
 * Requires one of a list of words. Throws INVALID_ARGUMENT.
 * @internal
 */
export function assertChoice<T extends string>(
  where: string,
  name: string,
  value: unknown,
  choices: readonly T[],
): asserts value is T {
  if (!choices.includes(value as T)) throw invalid(where, `${name} to be ${describeChoices(choices)}`, value);
}

/**
 * Requires a function. Throws INVALID_ARGUMENT.
 * @internal
 */
export function assertFunction(
  where: string,
  name: string,
  value: unknown,
): asserts value is (...args: never[]) => unknown {
  if (typeof value !== 'function') throw invalid(where, `${name} to be a function`, value);
}

/**
 * Requires an AbortSignal or undefined. Throws INVALID_ARGUMENT.
 * @internal
 */
export function assertSignal(where: string, value: unknown): asserts value is AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return;
  throw invalid(where, 'signal to be an AbortSignal', value);
}

/** A seed of the random streams: a non-negative safe integer, or a bigint below 2n ** 64n. The same number gives the same streams. */
export type Seed = number | bigint;

/**
 * Requires a seed and gives the Philox key: its low and its high 32 bits, as uint32. Throws INVALID_ARGUMENT.
 * @internal
 */
export function assertSeed(where: string, name: string, value: unknown): [low: number, high: number] {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) {
    return [value >>> 0, Math.floor(value / 2 ** 32)];
  }
  if (typeof value === 'bigint' && value >= 0n && value < 2n ** 64n) {
    return [Number(value & 0xffff_ffffn), Number(value >> 32n)];
  }
  throw invalid(where, `${name} to be an integer from 0 to 2^53 - 1 or a bigint below 2n ** 64n`, value);
}

/**
 * Requires an object of options that has only known names, and gives a copy without a prototype: reading it sees the caller's own
 * properties alone, each read once, whatever stands on Object.prototype. `undefined` is no options. Throws INVALID_ARGUMENT.
 * @internal
 */
export function readOptions<T extends object>(
  where: string,
  options: unknown,
  known: readonly (keyof T & string)[],
): { [K in keyof T]?: unknown } {
  const copy: { [K in keyof T]?: unknown } = Object.create(null);
  if (options === undefined) return copy;
  if (!isPlainObject(options)) throw invalid(where, 'a plain object of options', options);
  for (const name of Object.keys(options)) {
    if (!(known as readonly string[]).includes(name)) {
      throw invalid(where, `only the options ${known.join(', ')}`, name);
    }
    copy[name as keyof T & string] = options[name];
  }
  return copy;
}

/**
 * Runs an allocation and turns the language's RangeError into OUT_OF_MEMORY.
 * @internal
 */
export function allocate<T>(where: string, what: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new PushforwardError('OUT_OF_MEMORY', where, `memory for ${what}`, describe(cause), { cause });
  }
}
