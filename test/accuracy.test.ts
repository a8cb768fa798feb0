// How far the functions of native/cpu/vector_math.h are from the truth, in units of the last place: the largest error that the table in
// docs/performance.md states, found there over every 37th of all bit patterns. Here some 200,000 arguments a function, on every instruction set:
// bit patterns spread over all of them, and as many where the functions are neither linear nor constant.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import { evaluate, ops, type Tensor, tensor, type Value } from '../src/index.ts';
import { smallest, ulp } from './oracle/approx.ts';
import { rowOf } from './oracle/rows.ts';
import { withIsa } from './support/isa.ts';

const largest = 2 ** 128 * (1 - 2 ** -25); // rounds to infinity

type Name =
  | 'exp'
  | 'log'
  | 'sin'
  | 'cos'
  | 'tanh'
  | 'sigmoid'
  | 'softplus'
  | 'erf'
  | 'gelu'
  | 'geluTanh'
  | 'silu'
  | 'elu';
const stated: Readonly<Record<Name, number>> = {
  exp: 1,
  log: 0.9,
  sin: 1.5,
  cos: 1.55,
  tanh: 2.6,
  sigmoid: 2.35,
  softplus: 1.75,
  erf: 1.3,
  gelu: 0.55,
  geluTanh: 2.8,
  silu: 2.65,
  elu: 0.95,
};

/** Bit patterns from `first` on, `count` of them spread evenly below `end`, and those of the other sign. */
function patterns(first: number, end: number, count: number): Float32Array {
  const bits = new Uint32Array(2 * count);
  for (let i = 0; i < count; i++) {
    bits[2 * i] = first + Math.floor(((i + 0.5) * (end - first)) / count);
    bits[2 * i + 1] = (bits[2 * i]! | 0x80000000) >>> 0;
  }
  return new Float32Array(bits.buffer);
}

const bitsOf = (x: number): number => new Uint32Array(Float32Array.of(x).buffer)[0]!;
const all = patterns(bitsOf(smallest), bitsOf(Number.POSITIVE_INFINITY), 50_000);
const curved = patterns(bitsOf(2 ** -12), bitsOf(128), 50_000);
const x = new Float32Array(all.length + curved.length);
x.set(all);
x.set(curved, all.length);

const call: Readonly<Record<Name, (v: Value) => Value>> = {
  ...(ops as unknown as Record<Name, (v: Value) => Value>),
  geluTanh: (v) => ops.gelu(v, { approximate: 'tanh' }),
  elu: (v) => ops.elu(v),
};

for (const [name, bound] of Object.entries(stated) as [Name, number][]) {
  test(`${name} is within ${bound} ulp`, async () => {
    const { value } = rowOf(name);
    const truth = Float64Array.from(x, (v) => value(v, 1));
    for (const isa of native.instructionSets()) {
      const y = (await withIsa(isa, () => evaluate(call[name], { device: 'cpu' })(tensor(x)))) as Tensor;
      let worst = 0;
      let at = 0;
      for (const [i, t] of truth.entries()) {
        const got = y.data[i] as number;
        const what = `${name}(${x[i]}) = ${got} on ${isa}, not ${t}`;
        if (Number.isNaN(t) || Math.abs(t) >= largest) {
          assert.ok(Object.is(got, Math.fround(t)), what);
        } else if (Math.abs(t) < 16 * smallest) {
          assert.ok(Math.abs(got - t) <= smallest, what); // or a part of it was flushed to zero
        } else {
          const error = Math.abs(got - t) / ulp(t);
          if (!(error <= worst)) [worst, at] = [error, x[i]!];
        }
      }
      assert.ok(worst <= bound, `${name}(${at}) on ${isa}: ${worst} ulp`);
    }
  });
}

test.run();
