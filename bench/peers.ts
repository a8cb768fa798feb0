// The same work by other libraries, each in a process of its own, in turns with ours: npm run bench -- peers. Those from npm are installed by
// `npm install --prefix bench/peers`, PyTorch and OpenBLAS are Debian's python3-torch and libopenblas0-pthread.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { backprop, forwardGradient } from '../src/estimators/gradient.ts';
import { gaussian, lowRank } from '../src/samplers.ts';
import { cnn } from './cnn.ts';
import { interleaved, median, medianRatio, mlp, type Timed, timedPlans } from './ratios.ts';
import { machine, markOf, table, writeBetween } from './report.ts';

interface Answer {
  readonly version?: string;
  readonly works?: readonly string[];
  readonly skipped?: string;
  readonly failed?: string;
  readonly milliseconds?: number;
  /** Processor time over time. */
  readonly cores?: number;
}

/** A child process that answers each line with a line. */
class Peer {
  readonly name: string;
  greeting: Answer = { skipped: 'no answer' };
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  /** Cores that each answer says were busy. */
  readonly cores: number[] = [];
  readonly failures: string[] = [];

  private constructor(name: string, command: readonly string[]) {
    this.name = name;
    const [program = '', ...args] = command;
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'], env: { ...process.env, ...oneThread() } });
    this.#child.on('error', () => undefined); // a program that is not there gives no line
    this.#child.stdin!.on('error', () => undefined);
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  static async start(name: string, command: readonly string[]): Promise<Peer> {
    const peer = new Peer(name, command);
    peer.greeting = (await peer.#next()) ?? { skipped: `${command[0]} gave no answer` };
    return peer;
  }

  async #next(): Promise<Answer | undefined> {
    const { value, done } = await this.#lines.next();
    return done ? undefined : (JSON.parse(value) as Answer);
  }

  async time(work: string, batch: number, count: number): Promise<number> {
    this.#child.stdin!.write(`${JSON.stringify({ work, batch, count })}\n`);
    const answer = await this.#next();
    if (answer?.milliseconds === undefined)
      throw new Error(`${work}, batch ${batch}, failed: ${answer?.failed ?? 'it ended'}`);
    this.cores.push(answer.cores ?? Number.NaN);
    return answer.milliseconds;
  }

  /** Whether it can; the reason why not goes into the notes. */
  async does(work: string, batch: number): Promise<boolean> {
    try {
      await this.time(work, batch, 1);
      return true;
    } catch (error) {
      this.failures.push((error as Error).message);
      return false;
    }
  }

  end(): void {
    this.#child.stdin!.end();
  }
}

/** OpenBLAS of Debian 12 takes processors newer than itself for older ones, so it is told which kernels are the best for this one. */
function oneThread(): Record<string, string> {
  const flags = readFileSync('/proc/cpuinfo', 'utf8');
  const kernels = flags.includes('avx512_bf16') ? 'Cooperlake' : flags.includes('avx512bw') ? 'SkylakeX' : undefined;
  const threads = { OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' };
  return kernels === undefined ? threads : { OPENBLAS_CORETYPE: kernels, ...threads };
}

const script = (name: string): string => fileURLToPath(new URL(`peers/${name}`, import.meta.url));
const commands: Readonly<Record<string, readonly string[]>> = {
  PyTorch: ['/usr/bin/python3', script('torch_peer.py')],
  'OpenBLAS, the products alone': ['/usr/bin/python3', script('openblas_peer.py')],
  '@jax-js/jax, wasm': [process.execPath, script('jax_peer.mjs')],
  'tfjs, wasm': [process.execPath, script('tfjs_peer.mjs')],
};

/** Ours, by the names of the works that others do. */
const estimators = {
  'forward gradient': forwardGradient({ sampler: gaussian() }),
  backprop: backprop(),
  'forward gradient, rank one': forwardGradient({ sampler: lowRank({ rank: 1 }) }),
};

/** What is timed in turns: all works of a model at a precision and a batch size. A peer calls a work by model, precision and name. */
interface Subject {
  readonly name: 'MLP' | 'CNN';
  readonly precision: 'f32' | 'bf16';
  readonly batch: number;
  /** Repetitions in a round. */
  readonly repetitions: number;
}
const subjects: readonly Subject[] = [
  { name: 'MLP', precision: 'f32', batch: 64, repetitions: 3 },
  { name: 'MLP', precision: 'f32', batch: 512, repetitions: 1 },
  { name: 'MLP', precision: 'bf16', batch: 64, repetitions: 3 },
  { name: 'MLP', precision: 'bf16', batch: 512, repetitions: 1 },
  { name: 'CNN', precision: 'f32', batch: 64, repetitions: 1 },
  { name: 'CNN', precision: 'bf16', batch: 64, repetitions: 1 },
];
const models = { MLP: { model: mlp, inputShape: [784] }, CNN: { model: cnn, inputShape: [28, 28, 1] } } as const;

async function measure(peers: readonly Peer[], subject: Subject, rounds: number): Promise<string[][]> {
  const { name, precision, batch, repetitions } = subject;
  const { model, inputShape } = models[name];
  const options = { device: 'cpu', threads: 1, precision } as const;
  const { session, forward, steps, time } = await timedPlans(model(), inputShape, batch, estimators, options);
  const ours: [string, Timed][] = [['forward', forward] as const, ...steps].map(([work, plan]) => [
    work,
    (n) => time(plan, n),
  ]);
  const theirs: { peer: Peer; work: string; run: Timed }[] = [];
  for (const peer of peers) {
    for (const [work] of ours) {
      const full = `${name} ${precision} ${work}`;
      if (peer.greeting.works?.includes(full) && (await peer.does(full, batch)))
        theirs.push({ peer, work, run: (n) => peer.time(full, batch, n) });
    }
  }
  const timed = [...ours.map(([, run]) => run), ...theirs.map(({ run }) => run)];
  const times = await interleaved(timed, rounds, repetitions);
  session.dispose();
  return ours.map(([work], w) => {
    const own = times[w] ?? [];
    const cells = peers.map((peer) => {
      // A rank-one tangent stands against their gaussian one: nobody else has it.
      const at = theirs.findIndex((job) => job.peer === peer && job.work === work.replace(', rank one', ''));
      if (at < 0) return '–';
      const found = times[ours.length + at] ?? [];
      const ratio = medianRatio(found, own);
      return `${median(found).toFixed(2)} (${ratio.toFixed(ratio < 10 ? 2 : 0)} ×)`;
    });
    return [name, precision, String(batch), work, median(own).toFixed(2), ...cells];
  });
}

/** `--write` puts the table into docs/performance.md; `--rounds n` is for trying it out. */
export async function peersBenchmark(flags: readonly string[]): Promise<void> {
  const rounds = flags.includes('--rounds') ? Number(flags[flags.indexOf('--rounds') + 1]) : 9;
  const all = await Promise.all(Object.entries(commands).map(([name, command]) => Peer.start(name, command)));
  const peers = all.filter(({ greeting }) => greeting.skipped === undefined);
  const rows: string[][] = [];
  for (const subject of subjects) rows.push(...(await measure(peers, subject, rounds)));
  for (const peer of all) peer.end();
  const notes = all.map(({ name, greeting, cores, failures }) =>
    greeting.skipped === undefined
      ? `- ${name}: ${[greeting.version, `${median(cores).toFixed(2)} cores busy`, ...failures].join('; ')}`
      : `- ${name}: skipped: ${greeting.skipped}`,
  );
  const text = [
    `Milliseconds on one thread. ${machine()}. Medians of ${rounds} interleaved rounds; in brackets their time over ours.`,
    '',
    table(['model', 'precision', 'batch', 'work', 'Pushforward', ...peers.map(({ name }) => name)], rows),
    '',
    ...notes,
  ].join('\n');
  console.log(text);
  if (flags.includes('--write')) writeBetween('docs/performance.md', markOf('bench:peers'), text);
}
