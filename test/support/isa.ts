// Runs something on one instruction set: PUSHFORWARD_ISA is read by every call.

/** f with PUSHFORWARD_ISA set. */
export async function withIsa<T>(isa: string, f: () => Promise<T>): Promise<T> {
  const before = process.env.PUSHFORWARD_ISA;
  process.env.PUSHFORWARD_ISA = isa;
  try {
    return await f();
  } finally {
    if (before === undefined) delete process.env.PUSHFORWARD_ISA;
    else process.env.PUSHFORWARD_ISA = before;
  }
}
