// Errors of the native side as PushforwardErrors.
import { PushforwardError } from '../errors.ts';

/** The PushforwardError that a native error stands for; anything else as it is. */
export function fromNative(error: unknown): unknown {
  if (error instanceof PushforwardError || !(error instanceof Error)) return error;
  const code = (error as Error & { code?: unknown }).code;
  return typeof code === 'string' ? PushforwardError.fromNative(code, error.message) : error;
}
