// Engines: one native session per (device, precision, threads), shared by all plans that keep no state, and a queue in front of it.
import { native } from '../binding.ts';
import { assertChoice, assertInteger, assertSignal, describe, PushforwardError } from '../errors.ts';
import type { NativePlan, NativeRunRequest, NativeRunResult, NativeSession, Precision } from '../native.ts';
import { fromNative } from '../trace/native_errors.ts';

/**
 * Where a plan runs: 'auto' takes the best there is, 'cpu' float32 kernels for the machine's instruction set, 'reference' slow float64
 * loops that judge all others, 'cuda' an NVIDIA GPU (not available in this version).
 */
export type DeviceName = 'auto' | 'cpu' | 'cuda' | `cuda:${number}` | 'reference';

/** Options of everything that computes. */
export interface RunOptions {
  /** Default: 'auto' */
  device?: DeviceName;
  /**
   * 'f32' on cpu, 'f64' on reference; 'bf16' on both: the operands of matrix products and convolutions are rounded to bf16, all else is as
   * without it. 'tf32' is for GPUs. Default: the device's own
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
  readonly device: 'cpu' | 'reference';
  readonly precision: Precision;
  readonly isa: string;
  readonly threads: number;
  readonly fuse: boolean;
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
  if (device.startsWith('cuda')) {
    const cuda = native.devices().find(({ name }) => name === 'cuda');
    throw new PushforwardError('NO_DEVICE', where, `a device that is there`, `'${device}': ${cuda?.reason ?? 'none'}`);
  }
  const name = device === 'reference' ? 'reference' : 'cpu';
  const own = name === 'reference' ? 'f64' : 'f32';
  if (precision !== undefined) assertChoice(where, 'precision', precision, ['f32', 'bf16', 'tf32', 'f64']);
  const chosen = precision ?? own;
  if (chosen !== own && chosen !== 'bf16') {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      where,
      `precision '${own}' or 'bf16' on device '${name}'`,
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
      new native.Session(
        target.device,
        target.device === 'reference' ? '' : target.isa,
        target.threads,
        target.precision,
      ),
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
