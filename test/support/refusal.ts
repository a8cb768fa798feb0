// What every test of bad input asks of an error: its class, its code, and a sentence with both sides.
import * as assert from 'uvu/assert';
import { type ErrorCode, PushforwardError } from '../../src/errors.ts';

/** What a call must refuse: the call, the code, and a part of the sentence. */
export type Misuse = readonly [call: () => unknown, code: ErrorCode, part: string];

export function isRefusal(error: unknown, code: ErrorCode, part: string): void {
  if (!(error instanceof PushforwardError)) {
    throw new Error(`expected a PushforwardError with '${part}'`, { cause: error });
  }
  assert.match(error.message, /^\[[^\]]+\] expected .+ but received .+$/s);
  assert.is(error.name, 'PushforwardError');
  assert.is(error.code, code, error.message);
  assert.ok(error.message.includes(part), `expected '${part}' in: ${error.message}`);
  assert.ok(error.message.length < 600, `a sentence of ${error.message.length} characters`);
}

/** The call throws, or rejects where it returns a promise. */
export async function refuses([call, code, part]: Misuse): Promise<void> {
  let error: unknown;
  try {
    await call();
  } catch (thrown) {
    error = thrown;
  }
  if (error === undefined) assert.unreachable(`expected a refusal with '${part}', but the call went through`);
  isRefusal(error, code, part);
}
