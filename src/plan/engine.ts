// Engines: one native session per (device, precision, threads), shared by all plans that keep no state, and a queue in front of it.
import { native } from '../binding.ts';
import { assertChoice, assertInteger, assertSignal, describe, PushforwardError } from '../errors.ts';
import type { NativePlan, NativeRunRequest, NativeRunResult, NativeSession, Precision } from '../native.ts';
import { fromNative } from '../trace/native_errors.ts';

/**
 * Where a plan runs: 'auto' takes a GPU where there is one, else the cpu; 'cpu' float32 kernels for the machine's instruction set;
 * 'reference' slow float64 loops that judge all others; 'cuda:n' an NVIDIA GPU of compute capability 8.0 or later, 'cuda' the first.
 */
export type DeviceName = 'auto' | 'cpu' | 'cuda' | `cuda:${number}` | 'reference';

/** Options of everything that computes. */
export interface RunOptions {
  /** Default: 'auto' */
  device?: DeviceName;
  /**
   * 'f32' on cpu, 'f64' on reference; 'bf16' on both: the operands of matrix products and convolutions are rounded to bf16, all else is as
   * without it. cuda has 'f32' alone so far. Default: the device's own
   */
  precision?: 'f32' | 'bf16' | 'tf32' | 'f64';
  /** Threads of the cpu device, never more than the cores. Results do not depend on it. Default: all cores */
  threads?: number;
  /** Ends the call with ABORTED after the step in flight. */
  signal?: AbortSignal;
  /** `false` runs one kernel per op, for comparison: both plans agree to rounding. Default: true */
  fuse?: boolean;
}

/** Names of {@link RunOptions}. */
export const runOptionNames = ['device', 'precision', 'threads', 'signal', 'fuse'] as const;

/** What of the options decides which plan is used. */
export interface Target {
  readonly device: 'cpu' | 'reference' | `cuda:${number}`;
  readonly precision: Precision;
  readonly isa: string;
  readonly threads: number;
  readonly fuse: boolean;
}

let found: 'cpu' | `cuda:${number}` | undefined;

/** The first GPU that can be used, else the cpu; with one warning where there is a driver, but no GPU that can be used. */
function bestDevice(): 'cpu' | `cuda:${number}` {
  const reasons: string[] = [];
  for (const { name, available, reason = '', driver } of found === undefined ? native.devices() : []) {
    if (driver !== true) continue;
    try {
      if (!available) throw new Error(reason);
      found = native.open(name);
      break;
    } catch (error) {
      reasons.push(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  }
  if (found === undefined && reasons.length > 0) {
    process.emitWarning(
      `device 'auto' takes the cpu, since no GPU can be used (${reasons.join('; ')})`,
      'PushforwardWarning',
    );
  }
  found ??= 'cpu';
  return found;
}

/** Of a name that is an option; NO_DEVICE, with the reason, where a GPU is asked for that cannot be used. */
function toDevice(where: string, name: DeviceName, precision: RunOptions['precision']): Target['device'] {
  if (name === 'cpu' || name === 'reference') return name;
  if (name === 'auto') return precision === undefined || precision === 'f32' ? bestDevice() : 'cpu';
  try {
    return native.open(name);
  } catch (error) {
    const { code, message } = fromNative(error) as PushforwardError;
    throw new PushforwardError(code, where, 'a device that is there', `'${name}': ${message}`);
  }
}

/** Checks the options; NO_DEVICE, with the reason, for a device that is not there. */
export function toTarget(where: string, options: RunOptions): Target {
  const { device = 'auto', precision, threads = 0, fuse = true, signal } = options;
  if (typeof device !== 'string' || !/^(auto|cpu|reference|cuda(:\d{1,3})?)$/.test(device)) {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      where,
      "device to be 'auto', 'cpu', 'cuda', 'cuda:n' or 'reference'",
      describe(device),
    );
  }
  if (precision !== undefined) assertChoice(where, 'precision', precision, ['f32', 'bf16', 'tf32', 'f64']);
  const name = toDevice(where, device, precision);
  const own = name === 'reference' ? 'f64' : 'f32';
  const chosen = precision ?? own;
  const rounds = chosen === 'bf16' && (name === 'cpu' || name === 'reference');
  if (chosen !== own && !rounds) {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      where,
      name.startsWith('cuda')
        ? `precision 'f32' on device '${name}'`
        : `precision '${own}' or 'bf16' on device '${name}'`,
      `'${chosen}'`,
    );
  }
  if (threads !== 0 || options.threads !== undefined) assertInteger(where, 'threads', threads, 1, 4096);
  if (typeof fuse !== 'boolean')
    throw new PushforwardError('INVALID_ARGUMENT', where, 'fuse to be true or false', describe(fuse));
  assertSignal(where, signal);
  return { device: name, precision: chosen, isa: process.env.PUSHFORWARD_ISA ?? '', threads, fuse };
}

/** A native session; its errors as PushforwardErrors. */
export function openSession(target: Target): NativeSession {
  return translate(
    () =>
      new native.Session(target.device, target.device === 'cpu' ? target.isa : '', target.threads, target.precision),
  );
}

/** Runs f; a native error leaves as a PushforwardError. */
export function translate<T>(f: () => T): T {
  try {
    return f();
  } catch (error) {
    throw fromNative(error);
  }
}

/** Runs a plan, cancelling it when the signal aborts. ABORTED when it ended short of its steps for that. */
export async function runPlan(
  where: string,
  plan: NativePlan,
  request: NativeRunRequest,
  signal: AbortSignal | undefined,
): Promise<NativeRunResult> {
  const cancel = (): void => plan.cancel();
  if (signal?.aborted) throw aborted(where);
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    const result = await translate(() => plan.run(request));
    if (result.steps < request.steps && result.numericStep < 0) throw aborted(where);
    return result;
  } catch (error) {
    throw fromNative(error);
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}

/** The error of a call whose signal aborted. */
export function aborted(where: string): PushforwardError {
  return new PushforwardError('ABORTED', where, 'to run to its end', 'an abort by its signal');
}

/** A session with its queue: its plans share one workspace, so one of them runs at a time. */
export class Engine {
  readonly session: NativeSession;
  #last: Promise<unknown> = Promise.resolve();

  constructor(target: Target) {
    this.session = openSession(target);
  }

  enqueue<T>(task: () => Promise<T>): Promise<T> {
    const next = this.#last.then(task, task);
    this.#last = next.catch(() => undefined);
    return next;
  }
}

const engines = new Map<string, Engine>();

/** The engine that stateless plans of this target share. */
export function sharedEngine(target: Target): Engine {
  const key = `${target.device} ${target.precision} ${target.isa} ${target.threads}`;
  let engine = engines.get(key);
  if (engine === undefined) {
    engine = new Engine(target);
    engines.set(key, engine);
  }
  return engine;
}
