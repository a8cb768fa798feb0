// Numbers with a bound on their error: running error analysis (Higham, Accuracy and Stability, section 3.3) in place of tolerances that
// somebody chose. `v` is the float64 truth, `e` bounds how far a float32 computation by the documented formulas may be from it.

/** ε of float32: the distance from 1 to the next number. A correctly rounded result is within ε/2 of |v|. */
export const epsilon: number = 2 ** -23;

/** A truth and its bound. */
export interface Approx {
  readonly v: number;
  readonly e: number;
}

/** Results smaller than this may be flushed to zero. */
export const smallest: number = 2 ** -126;

/** The distance between neighbouring float32 numbers at v. */
export function ulp(v: number): number {
  const size = Math.abs(v);
  return size < smallest ? 2 ** -149 : epsilon * 2 ** Math.floor(Math.log2(size));
}

/** A number that float32 holds. */
export const exact = (v: number): Approx => ({ v, e: 0 });
export const zero: Approx = exact(0);
export const one: Approx = exact(1);

/** A number as float32 stores it. */
export function rounded(v: number): Approx {
  return { v, e: Math.fround(v) === v ? 0 : ulp(v) / 2 };
}

const isUnit = ({ v, e }: Approx): boolean => e === 0 && (v === 1 || v === -1 || v === 0);

/** a·b: each factor's error times the other, and one rounding unless a factor is 0 or ±1. */
export function times(a: Approx, b: Approx): Approx {
  const v = a.v * b.v;
  const carried = Math.abs(a.v) * b.e + Math.abs(b.v) * a.e + a.e * b.e;
  return { v, e: carried + (isUnit(a) || isUnit(b) ? 0 : ulp(v) / 2) };
}

/** Collects the terms of a sum; the order in which a kernel adds them is its own. */
export class Sum {
  #v = 0;
  #carried = 0;
  #terms = 0;
  #count = 0;

  add(term: Approx): void {
    if (term.v === 0 && term.e === 0) return;
    this.#v += term.v;
    this.#carried += term.e;
    this.#terms += Math.abs(term.v);
    this.#count++;
  }

  get count(): number {
    return this.#count;
  }

  /**
   * The contract of products and reductions is 8ε(1 + log₂ k) Σ|terms| for k terms. One ε of it is left for what the terms carry:
   * the rounding of each product and of the inputs.
   */
  product(): Approx {
    if (this.#count < 2) return this.few();
    return { v: this.#v, e: this.#carried + 7 * epsilon * (1 + Math.log2(this.#count)) * this.#terms };
  }

  /** Plain additions: of the two or three terms of a product rule. */
  few(): Approx {
    return { v: this.#v, e: this.#carried + (Math.max(0, this.#count - 1) * epsilon * this.#terms) / 2 };
  }
}
