// The float32 devices that the tests of kernels run on: cpu with each of its instruction sets, or, with PUSHFORWARD_TEST_DEVICE=cuda
// (`npm run test:softcuda`), cuda alone.
import { test } from 'uvu';
import { native } from '../../src/binding.ts';
import { withIsa } from './isa.ts';

/** 'cpu' unless the environment says otherwise. */
export const testDevice: 'cpu' | 'cuda' = process.env.PUSHFORWARD_TEST_DEVICE === 'cuda' ? 'cuda' : 'cpu';

/** softcuda is some hundred times slower than a cpu kernel: there the largest lists of cases are thinned out, by a fixed rule. */
export const thinned: boolean = testDevice === 'cuda';

/** Where a test of kernels runs. */
export interface Target {
  /** 'cpu avx512' */
  readonly name: string;
  readonly isa: string;
  inside(f: () => Promise<void>): Promise<void>;
}

/** All of them, the best last. */
export function float32Targets(precision: 'f32' | 'bf16' = 'f32'): readonly Target[] {
  if (testDevice === 'cuda') return precision === 'f32' ? [{ name: 'cuda', isa: '', inside: (f) => f() }] : [];
  return native.instructionSets(precision).map((isa) => ({ name: `cpu ${isa}`, isa, inside: (f) => withIsa(isa, f) }));
}

/** A test for each of those that have kernels of their own at a precision. */
export function onEverySet(what: string, run: (isa: string) => Promise<void>, precision: 'f32' | 'bf16' = 'f32'): void {
  for (const { name, isa, inside } of float32Targets(precision)) test(`${name}: ${what}`, () => inside(() => run(isa)));
}

/** A test that has nothing to do with the kernels under test: no part of a run that is there for cuda's. */
export function testApart(what: string, run: () => void | Promise<void>): void {
  if (testDevice === 'cpu') test(what, run);
}
