// The child's side of the protocol of peers.ts: one line says what is here, then each line of input asks for a time.
import { createInterface } from 'node:readline';

export const sizes = [784, 1024, 1024, 10];
export const rate = 1e-6;

/** Uniform inputs and labels i mod 10, as one-hot rows. */
export function batchOf(size) {
  const x = new Float32Array(size * 784).map(Math.random);
  const t = new Float32Array(size * 10).map((_, i) => (i % 10 === Math.floor(i / 10) % 10 ? 1 : 0));
  return { x, t };
}

/** Values of heNormal's spread, uniform: times do not depend on the law. */
export function weightsOf(fanIn, fanOut) {
  const scale = Math.sqrt(6 / fanIn);
  return new Float32Array(fanIn * fanOut).map(() => scale * (2 * Math.random() - 1));
}

/** Not console.log, which a library may use for its own words. */
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

/** `works`: name → (batch size) → a function that does it once and resolves when it is done. */
export async function serve(load) {
  let peer;
  try {
    peer = await load();
  } catch (error) {
    say({ skipped: String(error.message).split(/\n| imported from/)[0] });
    return;
  }
  const prepared = new Map();
  say({ version: peer.version, works: Object.keys(peer.works) });
  for await (const line of createInterface({ input: process.stdin })) {
    const { work, batch, count } = JSON.parse(line);
    const key = `${work} ${batch}`;
    try {
      if (!prepared.has(key)) prepared.set(key, await peer.works[work](batch));
      const run = prepared.get(key);
      const [start, cpu] = [performance.now(), process.cpuUsage()];
      for (let i = 0; i < count; i++) await run();
      const wall = performance.now() - start;
      const { user, system } = process.cpuUsage(cpu);
      say({ milliseconds: wall / count, cores: (user + system) / 1000 / wall });
    } catch (error) {
      say({ failed: String(error?.message ?? error).split('\n')[0] });
    }
  }
}
