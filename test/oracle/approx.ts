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

/** v as bf16: 8 significant bits, to nearest, ties away from zero. */
export function bf16(v: number): number {
  if (v === 0 || !Number.isFinite(v)) return v;
  const unit = 2 ** (Math.floor(Math.log2(Math.abs(v))) - 7);
  return Math.sign(v) * Math.floor(Math.abs(v) / unit + 0.5) * unit;
}

/** a as bf16: it may be off where a's error reaches across a tie. */
export function bf16Of({ v, e }: Approx): Approx {
  const r = bf16(v);
  return { v: r, e: Math.max(Math.abs(bf16(v + e) - r), Math.abs(bf16(v - e) - r)) };
}

/** a·b, exactly: of two numbers of 8 bits. */
export function timesExactly(a: Approx, b: Approx): Approx {
  return { v: a.v * b.v, e: Math.abs(a.v) * b.e + Math.abs(b.v) * a.e + a.e * b.e };
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
