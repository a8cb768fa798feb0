// A traced function as a native plan: what src/transforms does for a user, with the plan and its buffers in the test's hands.

import type { Value } from '../../src/index.ts';
import type { NativePlan, NativeSession } from '../../src/native.ts';
import { encodeProgram, type Program } from '../../src/trace/encode.ts';
import { Graph } from '../../src/trace/graph.ts';

/** f traced on inputs of these shapes. */
export function traceProgram(
  inputs: readonly { shape: readonly number[]; dtype?: 'int32' }[],
  f: (...x: Value[]) => readonly Value[],
  real: 'float32' | 'float64' = 'float32',
): Program {
  const graph = new Graph({ real, training: false });
  const x = inputs.map(({ shape, dtype }) => graph.input(shape, dtype ?? real));
  return graph.within(() => graph.finish('test', f(...x)));
}

/** The same, compiled. */
export function compileOn(session: NativeSession, program: Program, fuse = true): NativePlan {
  return session.compile(encodeProgram(program), fuse);
}
