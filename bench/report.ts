// What a benchmark says of its machine, its tables, and the marked part of a document that a table is written to.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { native } from '../src/binding.ts';

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

/** Processor, instruction set, Node and commit. */
export function machine(): string {
  const isa = process.env.PUSHFORWARD_ISA ?? native.instructionSets().at(-1);
  return `${cpus()[0]?.model.trim()}, ${isa}, Node ${process.version}, commit ${commit()}`;
}

/** A table in Markdown. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** What one thread can do at most: measured now, or better before. */
export function ceilings(): string {
  const rows = native
    .ceilings(process.env.PUSHFORWARD_ISA ?? '')
    .map(({ name, unit, value, absence }) =>
      absence === '' ? [name, `${value.toFixed(value < 10 ? 3 : 0)} ${unit}`] : [name, `not measured: ${absence}`],
    );
  return table(['one thread', 'at most'], rows);
}

/** The mark of a table in docs/performance.md, which has one from a processor with AMX beside one from another. */
export function markOf(name: string): string {
  return native.instructionSets('bf16').at(-1) === 'amx' ? `${name}-amx` : name;
}

/** Puts the text between `<!-- mark -->` and `<!-- /mark -->`. */
export function writeBetween(
  file: 'README.md' | 'docs/performance.md' | 'docs/estimators.md',
  mark: string,
  text: string,
): void {
  const path = new URL(`../${file}`, import.meta.url);
  const page = readFileSync(path, 'utf8');
  const [start, end] = [`<!-- ${mark} -->`, `<!-- /${mark} -->`];
  const [from, to] = [page.indexOf(start), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${file} has no ${mark} markers`);
  writeFileSync(path, `${page.slice(0, from + start.length)}\n${text}\n${page.slice(to)}`);
}
