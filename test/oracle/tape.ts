// Scalars with error bounds that remember how they were made: values, tangents and cotangents of any composition of ops, each with the
// bound that float32 must keep.
import { type Approx, bf16Of, one, Sum, times, timesExactly } from './approx.ts';
import { evaluate, rowOf } from './rows.ts';

/** How a scalar came about. */
type Rule =
  | { readonly kind: 'leaf' }
  /** A few parents with a slope each. */
  | { readonly kind: 'local'; readonly parents: readonly Scalar[]; readonly slopes: readonly Approx[] }
  /** Σ left·right (+ rest): a product or, without right, a sum. */
  | {
      readonly kind: 'sum';
      readonly left: readonly Scalar[];
      readonly right?: readonly Scalar[];
      readonly rest?: Scalar;
      /** The factors of every product of left and right, also in its derivatives, are rounded to bf16. */
      readonly rounds?: boolean;
    };

const leaf: Rule = { kind: 'leaf' };

/** A scalar on a tape. */
export class Scalar implements Approx {
  readonly v: number;
  readonly e: number;
  readonly id: number;
  readonly rule: Rule;
  /** Carries no tangent: a constant, an integer, a stopped gradient. */
  readonly constant: boolean;

  constructor({ v, e }: Approx, id: number, rule: Rule, constant: boolean) {
    this.v = v;
    this.e = e;
    this.id = id;
    this.rule = rule;
    this.constant = constant;
  }
}

/** Scalars in order of definition. */
export class Tape {
  readonly #scalars: Scalar[] = [];
  readonly #bf16: boolean;

  constructor(precision: 'f32' | 'bf16' = 'f32') {
    this.#bf16 = precision === 'bf16';
  }

  #push(value: Approx, rule: Rule, constant: boolean): Scalar {
    const scalar = new Scalar(value, this.#scalars.length, rule, constant);
    this.#scalars.push(scalar);
    return scalar;
  }

  input(value: Approx): Scalar {
    return this.#push(value, leaf, false);
  }

  constant(value: Approx): Scalar {
    return this.#push(value, leaf, true);
  }

  /** A row of the elementwise table. */
  row(name: string, parents: readonly Scalar[]): Scalar {
    const value = evaluate(name, parents);
    const constant = parents.every((parent) => parent.constant);
    return this.#push(
      value,
      constant ? leaf : { kind: 'local', parents, slopes: rowOf(name).slopes(parents, value) },
      constant,
    );
  }

  sum(left: readonly Scalar[], right?: readonly Scalar[], rest?: Scalar): Scalar {
    return this.#sum(left, right, rest, false);
  }

  /** An element of a product of matrices: its operands are rounded where the tape's precision is bf16. */
  product(left: readonly Scalar[], right: readonly Scalar[], rest?: Scalar): Scalar {
    return this.#sum(left, right, rest, this.#bf16);
  }

  #sum(
    left: readonly Scalar[],
    right: readonly Scalar[] | undefined,
    rest: Scalar | undefined,
    rounds: boolean,
  ): Scalar {
    const sum = new Sum();
    for (let i = 0; i < left.length; i++)
      sum.add(right === undefined ? left[i]! : factors(rounds, left[i]!, right[i]!));
    if (rest !== undefined) sum.add(rest);
    const value = sum.product();
    return this.#push(value, { kind: 'sum', left, ...(right && { right }), ...(rest && { rest }), rounds }, false);
  }

  /** The largest, and the first of them: ties inside the error leave open which. */
  max(parents: readonly Scalar[]): Scalar {
    let first = parents[0]!;
    for (const parent of parents) if (parent.v > first.v) first = parent;
    const e = Math.max(...parents.map((parent) => parent.e));
    const slopes = parents.map((parent) => {
      const gap = parent.e + first.e;
      const open = parent !== first && gap > 0 && first.v - parent.v <= gap;
      return { v: parent === first ? 1 : 0, e: open ? 1 : 0 };
    });
    if (slopes.some((slope) => slope.e > 0)) slopes[parents.indexOf(first)] = { v: 1, e: 1 };
    return this.#push({ v: first.v, e }, { kind: 'local', parents, slopes }, false);
  }

  /** Tangents of every scalar, given those of some leaves; `undefined` is zero by structure. */
  tangents(given: ReadonlyMap<Scalar, Approx>): (Approx | undefined)[] {
    const dots: (Approx | undefined)[] = [];
    for (const scalar of this.#scalars) {
      const { rule } = scalar;
      let dot: Approx | undefined;
      if (scalar.constant) dot = undefined;
      else if (rule.kind === 'leaf') dot = given.get(scalar);
      else {
        const sum = new Sum();
        let any = false;
        const add = (parent: Scalar, slope: Approx, rounds: boolean): void => {
          const parentDot = dots[parent.id];
          if (parentDot === undefined) return;
          any = true;
          sum.add(factors(rounds, slope, parentDot));
        };
        eachParent(rule, add);
        if (any) dot = rule.kind === 'sum' ? sum.product() : sum.few();
      }
      dots.push(dot);
    }
    return dots;
  }

  /** Cotangents of every scalar, given those of some. */
  cotangents(given: ReadonlyMap<Scalar, Approx>): (Approx | undefined)[] {
    const sums: (Sum | undefined)[] = new Array(this.#scalars.length);
    const add = (scalar: Scalar, bar: Approx): void => {
      if (scalar.constant) return;
      sums[scalar.id] ??= new Sum();
      sums[scalar.id]!.add(bar);
    };
    for (const [scalar, bar] of given) add(scalar, bar);
    const bars: (Approx | undefined)[] = new Array(this.#scalars.length);
    for (let id = this.#scalars.length - 1; id >= 0; id--) {
      const sum = sums[id];
      if (sum === undefined) continue;
      const bar = sum.product();
      bars[id] = bar;
      const { rule } = this.#scalars[id]!;
      if (rule.kind === 'leaf') continue;
      eachParent(rule, (parent, slope, rounds) => parent.constant || add(parent, factors(rounds, slope, bar)));
    }
    return bars;
  }
}

/** a·b, of bf16 where it `rounds`. */
const factors = (rounds: boolean, a: Approx, b: Approx): Approx =>
  rounds ? timesExactly(bf16Of(a), bf16Of(b)) : times(a, b);

function eachParent(
  rule: Exclude<Rule, { kind: 'leaf' }>,
  f: (parent: Scalar, slope: Approx, rounds: boolean) => void,
): void {
  if (rule.kind === 'local') {
    for (let i = 0; i < rule.parents.length; i++) f(rule.parents[i]!, rule.slopes[i]!, false);
    return;
  }
  const { left, right, rest, rounds = false } = rule;
  for (let i = 0; i < left.length; i++) {
    f(left[i]!, right?.[i] ?? one, rounds);
    if (right !== undefined) f(right[i]!, left[i]!, rounds);
  }
  if (rest !== undefined) f(rest, one, false);
}
