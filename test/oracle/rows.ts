// The elementwise ops a second time, in float64, with their slopes as the formulas of docs (native/ops/elementwise_table.h) and the error that
// float32 may make in each: the judge of both devices.
import { type Approx, epsilon, exact, one, times, ulp, zero } from './approx.ts';

interface Row {
  readonly value: (...x: number[]) => number;
  /** ∂/∂xᵢ as a formula over approximations, r being the result. */
  readonly slopes: (x: readonly Approx[], r: Approx) => readonly Approx[];
  /** Units in the last place that the value may be off. */
  readonly ulps: number;
  /** 4 ulp + ε|x f'(x)|: functions that need a polynomial or a reduced argument. */
  readonly transcendental?: boolean;
}

/** erf in float64: its series, and the continued fraction of erfc where that cancels. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a < 2.5) {
    let term = a;
    let sum = a;
    for (let n = 1; Math.abs(term) > 1e-18 * sum; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
      if (n > 200 || a === 0) break;
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  return Math.sign(x) * (1 - erfc(a));
}

/** erfc for x ≥ 2.5 by its continued fraction. */
function erfc(x: number): number {
  let fraction = 0;
  for (let k = 120; k > 0; k--) fraction = k / 2 / (x + fraction);
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * (x + fraction));
}

/** Φ(x) without cancellation in the tail. */
const normal = (x: number): number =>
  x < -2.5 * Math.SQRT2 ? erfc(-x / Math.SQRT2) / 2 : (1 + erf(x / Math.SQRT2)) / 2;
const sigma = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
const expm1Scaled = (x: number, alpha: number): number => (x > 0 ? x : alpha * Math.expm1(x));
const tanhForm = (x: number): number => x * sigma(x * (2 * Math.sqrt(2 / Math.PI)) * (1 + 0.044715 * x * x));

const plus = (a: Approx, b: Approx): Approx => evaluate('add', [a, b]);
const minus = (a: Approx, b: Approx): Approx => evaluate('sub', [a, b]);
const apply = (name: string, ...x: Approx[]): Approx => evaluate(name, x);
const square = (x: Approx): Approx => evaluate('square', [x]);

/** Whether a > b (or ≥): where the errors leave it open, off by one. */
function compare(a: Approx, b: Approx, orEqual: boolean): Approx {
  const open = a.e + b.e > 0 && Math.abs(a.v - b.v) <= a.e + b.e;
  return { v: (orEqual ? a.v >= b.v : a.v > b.v) ? 1 : 0, e: open ? 1 : 0 };
}
const greater = (a: Approx, b: Approx): Approx => compare(a, b, false);
const greaterEqual = (a: Approx, b: Approx): Approx => compare(a, b, true);
/** where(greater(x, 0), a, b), the mask perhaps open */
function positive(x: Approx, a: Approx, b: Approx): Approx {
  const mask = greater(x, zero);
  const chosen = mask.v === 1 ? a : b;
  return mask.e === 0 ? chosen : { v: chosen.v, e: Math.max(a.e, b.e) + Math.abs(a.v - b.v) };
}
const minWithZero = (x: Approx): Approx => ({ v: Math.min(x.v, 0), e: x.e });
const half = exact(0.5);
const a1 = 1.5957691216057308;
const b1 = 0.07135481627160024;

const comparison = (holds: (x: number, y: number) => boolean): Row => ({
  value: (x, y) => (holds(x as number, y as number) ? 1 : 0),
  slopes: () => [zero, zero],
  ulps: 0,
});
const arithmetic = (value: Row['value'], slopes: Row['slopes'], ulps = 0.5): Row => ({ value, slopes, ulps });
const curve = (value: (x: number, y: number) => number, slopes: Row['slopes']): Row => ({
  value: value as Row['value'],
  slopes,
  ulps: 4,
  transcendental: true,
});
type X = readonly [Approx, Approx, Approx];
const from = (slopes: (x: Approx, r: Approx, y: Approx, z: Approx) => readonly Approx[]): Row['slopes'] => {
  return (x, r) => slopes((x as X)[0], r, (x as X)[1], (x as X)[2]);
};

/** By the names of `ops`; gelu's two forms as the native table has them. */
export const rows: Readonly<Record<string, Row>> = {
  add: arithmetic(
    (x, y) => (x as number) + (y as number),
    () => [one, one],
  ),
  sub: arithmetic(
    (x, y) => (x as number) - (y as number),
    () => [one, exact(-1)],
  ),
  mul: arithmetic(
    (x, y) => (x as number) * (y as number),
    from((x, _, y) => [y, x]),
  ),
  div: arithmetic(
    (x, y) => (x as number) / (y as number),
    from((_, r, y) => [apply('reciprocal', y), apply('neg', apply('div', r, y))]),
  ),
  neg: arithmetic(
    (x) => -(x as number),
    () => [exact(-1)],
    0,
  ),
  square: arithmetic(
    (x) => (x as number) ** 2,
    from((x) => [times(exact(2), x)]),
  ),
  reciprocal: arithmetic(
    (x) => 1 / (x as number),
    from((_, r) => [apply('neg', square(r))]),
  ),
  sqrt: arithmetic(
    (x) => Math.sqrt(x as number),
    from((_, r) => [apply('div', half, r)]),
  ),
  rsqrt: arithmetic(
    (x) => 1 / Math.sqrt(x as number),
    from((_, r) => [times(exact(-0.5), times(r, square(r)))]),
    1.5,
  ),
  exp: curve(
    Math.exp,
    from((_, r) => [r]),
  ),
  log: curve(
    Math.log,
    from((x) => [apply('reciprocal', x)]),
  ),
  pow: curve(
    Math.pow,
    from((x, r, y) => [times(y, apply('pow', x, minus(y, one))), times(r, apply('log', x))]),
  ),
  sin: curve(
    Math.sin,
    from((x) => [apply('cos', x)]),
  ),
  cos: curve(
    Math.cos,
    from((x) => [apply('neg', apply('sin', x))]),
  ),
  tanh: curve(
    Math.tanh,
    from((_, r) => [minus(one, square(r))]),
  ),
  sigmoid: curve(
    sigma,
    from((_, r) => [times(r, minus(one, r))]),
  ),
  relu: arithmetic(
    (x) => Math.max(x as number, 0),
    from((x) => [greater(x, zero)]),
    0,
  ),
  leakyRelu: arithmetic(
    (x, y) => (x as number) * ((x as number) > 0 ? 1 : (y as number)),
    from((x, _, y) => [positive(x, one, y), minWithZero(x)]),
  ),
  elu: curve(
    expm1Scaled,
    from((x, _, y) => [positive(x, one, times(y, apply('exp', minWithZero(x)))), apply('elu', minWithZero(x), one)]),
  ),
  gelu: curve(
    (x) => x * normal(x),
    from((x) => [
      plus(
        times(half, plus(one, apply('erf', times(x, exact(Math.SQRT1_2))))),
        times(x, times(exact(0.3989422804014327), apply('exp', times(exact(-0.5), square(x))))),
      ),
    ]),
  ),
  geluTanh: curve(
    tanhForm,
    from((x) => {
      const x2 = square(x);
      const s = apply('sigmoid', times(x, plus(exact(a1), times(exact(b1), x2))));
      return [plus(s, times(times(x, times(s, minus(one, s))), plus(exact(a1), times(exact(3 * b1), x2))))];
    }),
  ),
  silu: curve(
    (x) => x * sigma(x),
    from((x, r) => {
      const s = apply('sigmoid', x);
      return [plus(s, times(r, minus(one, s)))];
    }),
  ),
  softplus: curve(
    (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    from((x) => [apply('sigmoid', x)]),
  ),
  erf: curve(
    erf,
    from((x) => [times(exact(2 / Math.sqrt(Math.PI)), apply('exp', apply('neg', square(x))))]),
  ),
  abs: arithmetic(
    (x) => Math.abs(x as number),
    from((x) => [minus(greater(x, zero), greater(zero, x))]),
    0,
  ),
  maximum: arithmetic(
    (x, y) => Math.max(x as number, y as number),
    from((x, _, y) => [greaterEqual(x, y), greater(y, x)]),
    0,
  ),
  minimum: arithmetic(
    (x, y) => Math.min(x as number, y as number),
    from((x, _, y) => [greaterEqual(y, x), greater(x, y)]),
    0,
  ),
  clip: arithmetic(
    (x, y, z) => Math.min(Math.max(x as number, y as number), z as number),
    from((x, _, y, z) => [times(greaterEqual(x, y), greaterEqual(z, x)), greater(y, x), greater(x, z)]),
    0,
  ),
  where: arithmetic(
    (x, y, z) => (x !== 0 ? (y as number) : (z as number)),
    from((x) => [zero, { v: x.v !== 0 ? 1 : 0, e: x.e }, { v: x.v !== 0 ? 0 : 1, e: x.e }]),
    0,
  ),
  less: comparison((x, y) => x < y),
  lessEqual: comparison((x, y) => x <= y),
  greater: comparison((x, y) => x > y),
  greaterEqual: comparison((x, y) => x >= y),
  equal: comparison((x, y) => x === y),
};

export function rowOf(name: string): Row {
  const row = rows[name];
  if (row === undefined) throw new Error(`no row '${name}' in test/oracle/rows.ts`);
  return row;
}

const comparisons = new Set(['less', 'lessEqual', 'greater', 'greaterEqual', 'equal']);

/** While the slopes of an error's propagation are computed: their own errors are of second order. */
let bare = false;

function bareSlopes(row: Row, x: readonly Approx[], v: number): readonly Approx[] {
  bare = true;
  try {
    return row.slopes(x, { v, e: 0 });
  } finally {
    bare = false;
  }
}

/** The row at x: what the operands' errors become, and the row's own. */
export function evaluate(name: string, x: readonly Approx[]): Approx {
  const row = rowOf(name);
  const v = row.value(...x.map((operand) => operand.v));
  if (bare) return exact(v);
  if (comparisons.has(name)) {
    const [a, b] = x as X;
    return { v, e: a.e + b.e > 0 && Math.abs(a.v - b.v) <= a.e + b.e ? 1 : 0 };
  }
  let e = row.ulps * ulp(v);
  if (row.transcendental || x.some((operand) => operand.e > 0)) {
    const slopes = bareSlopes(row, x, v);
    for (const [i, operand] of x.entries()) {
      e +=
        (Math.abs((slopes[i] as Approx).v) + slack(slopes[i] as Approx)) *
        (operand.e + (row.transcendental ? epsilon * Math.abs(operand.v) : 0));
    }
  }
  // An open mask: either branch.
  const [mask, yes, no] = x as X;
  if (name === 'where' && mask.e > 0) e += Math.max(yes.e, no.e) + Math.abs(yes.v - no.v);
  return { v, e };
}

/** A slope that is open (a kink inside the error) may be one larger. */
const slack = (slope: Approx): number => (slope.e >= 0.5 ? slope.e : 0);
