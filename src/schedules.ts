// Learning rates as a function of the step, computed on the host in float64. Plain data: what a checkpoint stores is the object's fields.
import {
  allocate,
  assertFinite,
  assertInteger,
  describe,
  describeChoices,
  isPlainObject,
  PushforwardError,
} from './errors.ts';

/**
 * A learning rate as a function of the step: frozen plain data, made by {@link constant}, {@link exponentialDecay}, {@link cosine},
 * {@link warmup} or {@link piecewise}. `JSON.stringify` keeps everything that defines it.
 */
export interface Schedule {
  /** Which of the functions made it. */
  readonly kind: 'constant' | 'exponentialDecay' | 'cosine' | 'warmup' | 'piecewise';
  /**
   * The rate of a step: a finite number ≥ 0.
   * @param step 0 for the first training step; an integer from 0 to 2^53 − 1
   * @throws PushforwardError INVALID_ARGUMENT for any other step
   */
  at(step: number): number;
}

/**
 * The fields that define a schedule, by kind.
 * @internal
 */
export type ScheduleData =
  | { readonly kind: 'constant'; readonly rate: number }
  | { readonly kind: 'exponentialDecay'; readonly initialRate: number; readonly k: number }
  | { readonly kind: 'cosine'; readonly initialRate: number; readonly steps: number; readonly finalRate: number }
  | { readonly kind: 'warmup'; readonly steps: number; readonly next: Schedule }
  | { readonly kind: 'piecewise'; readonly boundaries: readonly number[]; readonly rates: readonly number[] };

const made = new WeakMap<object, ScheduleData>();
/** Warmups inside warmups: the bound keeps a forged or damaged nest from overflowing the stack. */
const maxNesting = 16;
const maxPieces = 100_000;

function dataOf(schedule: Schedule): ScheduleData {
  const data = made.get(schedule);
  if (data === undefined) throw refuse('schedule', 'schedule', schedule);
  return data;
}

function refuse(where: string, name: string, value: unknown): PushforwardError {
  const expected = `${name} to be a number, or a schedule made by constant, exponentialDecay, cosine, warmup or piecewise,`;
  return new PushforwardError('INVALID_ARGUMENT', where, expected, describe(value));
}

function rateAt(data: ScheduleData, step: number): number {
  switch (data.kind) {
    case 'constant':
      return data.rate;
    case 'exponentialDecay':
      return data.initialRate * Math.exp(-data.k * step);
    case 'cosine': {
      const turn = Math.PI * (Math.min(step, data.steps) / data.steps);
      return data.finalRate + (data.initialRate - data.finalRate) * 0.5 * (1 + Math.cos(turn));
    }
    case 'warmup': {
      const next = dataOf(data.next);
      return step < data.steps ? (rateAt(next, 0) * (step + 1)) / data.steps : rateAt(next, step - data.steps);
    }
    case 'piecewise': {
      // The number of boundaries at or before the step, by bisection.
      let low = 0;
      let high = data.boundaries.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((data.boundaries[middle] as number) <= step) low = middle + 1;
        else high = middle;
      }
      return data.rates[low] as number;
    }
  }
}

function make(data: ScheduleData): Schedule {
  const at = (step: number): number => {
    assertInteger('Schedule.at', 'step', step);
    return rateAt(data, step);
  };
  // Not enumerable, so that the schedule compares, prints and serialises as its fields.
  const schedule = Object.freeze(Object.defineProperty({ ...data }, 'at', { value: at })) as ScheduleData & Schedule;
  made.set(schedule, data);
  return schedule;
}

/**
 * The same rate at every step.
 * @param rate a finite number ≥ 0
 * @throws PushforwardError INVALID_ARGUMENT
 */
export function constant(rate: number): Schedule {
  assertFinite('constant', 'rate', rate, { min: 0 });
  return make({ kind: 'constant', rate });
}

/**
 * `initialRate · exp(−k · step)`, step = 0, 1, …: the schedule of Baydin et al., *Gradients without Backpropagation*, arXiv 2202.08587.
 * @param initialRate the rate of step 0, a finite number ≥ 0
 * @param k the decay of a step, a finite number ≥ 0
 * @throws PushforwardError INVALID_ARGUMENT
 */
export function exponentialDecay(initialRate: number, k: number): Schedule {
  assertFinite('exponentialDecay', 'initialRate', initialRate, { min: 0 });
  assertFinite('exponentialDecay', 'k', k, { min: 0 });
  return make({ kind: 'exponentialDecay', initialRate, k });
}

/**
 * Half a cosine from `initialRate` at step 0 to `finalRate` at step `steps`, and `finalRate` from there on: `finalRate + (initialRate −
 * finalRate) · (1 + cos(π · step / steps)) / 2` (Loshchilov and Hutter, *SGDR*, arXiv 1608.03983, without restarts).
 * @param initialRate a finite number ≥ 0
 * @param steps an integer from 1 to 2^53 − 1
 * @param finalRate a finite number ≥ 0. Default: 0
 * @throws PushforwardError INVALID_ARGUMENT
 */
export function cosine(initialRate: number, steps: number, finalRate: number = 0): Schedule {
  assertFinite('cosine', 'initialRate', initialRate, { min: 0 });
  assertInteger('cosine', 'steps', steps, 1);
  assertFinite('cosine', 'finalRate', finalRate, { min: 0 });
  return make({ kind: 'cosine', initialRate, steps, finalRate });
}

/**
 * A line up to the first rate of another schedule, then that schedule from its own step 0: `then.at(0) · (step + 1) / steps` while `step <
 * steps`, then `then.at(step − steps)` (gradual warmup: Goyal et al., arXiv 1706.02677). No step has the rate 0.
 * @param steps the number of steps of the line, an integer from 1 to 2^53 − 1
 * @param then any schedule; warmups nest at most 16 deep
 * @throws PushforwardError INVALID_ARGUMENT
 */
export function warmup(steps: number, then: Schedule): Schedule {
  assertInteger('warmup', 'steps', steps, 1);
  const schedule = toSchedule('warmup', 'then', then);
  let nesting = 1;
  for (let inner = dataOf(schedule); inner.kind === 'warmup'; inner = dataOf(inner.next)) nesting++;
  if (nesting > maxNesting) {
    const expected = `then to have at most ${maxNesting - 1} warmups inside each other`;
    throw new PushforwardError('INVALID_ARGUMENT', 'warmup', expected, `${nesting - 1}`);
  }
  return make({ kind: 'warmup', steps, next: schedule });
}

/**
 * Rates that change at given steps: `rates[i]` where i is the number of boundaries at or before the step, so that `piecewise([1000],
 * [0.1, 0.01])` is 0.1 in steps 0 to 999 and 0.01 from step 1000 on.
 * @param boundaries integers from 1 to 2^53 − 1, increasing, at most 100,000
 * @param rates finite numbers ≥ 0, one more than boundaries
 * @throws PushforwardError INVALID_ARGUMENT
 */
export function piecewise(boundaries: readonly number[], rates: readonly number[]): Schedule {
  for (const [name, list] of Object.entries({ boundaries, rates })) {
    if (Array.isArray(list) && list.length <= maxPieces + 1) continue;
    const expected = `${name} to be an array of at most ${maxPieces} numbers`;
    throw new PushforwardError('INVALID_ARGUMENT', 'piecewise', expected, describe(list));
  }
  if (rates.length !== boundaries.length + 1) {
    const expected = `one rate more than boundaries, ${boundaries.length + 1}`;
    throw new PushforwardError('INVALID_ARGUMENT', 'piecewise', expected, `${rates.length}`);
  }
  let previous = 0;
  const steps = Array.from(boundaries, (boundary, i) => {
    assertInteger('piecewise', `boundaries[${i}]`, boundary, previous + 1);
    previous = boundary;
    return boundary;
  });
  const copy = Array.from(rates, (rate, i) => {
    assertFinite('piecewise', `rates[${i}]`, rate, { min: 0 });
    return rate;
  });
  return make({ kind: 'piecewise', boundaries: Object.freeze(steps), rates: Object.freeze(copy) });
}

/**
 * A learning rate as a schedule: a number is constant; a schedule's plain fields (from a checkpoint's JSON, or from another copy of this
 * package) are checked and made into one. Throws INVALID_ARGUMENT.
 * @internal
 */
export function toSchedule(where: string, name: string, value: unknown, nesting = 0): Schedule {
  if (typeof value === 'number') {
    assertFinite(where, name, value, { min: 0 });
    return constant(value);
  }
  if (typeof value === 'object' && value !== null && made.has(value)) return value as Schedule;
  if (!isPlainObject(value) || nesting > maxNesting) throw refuse(where, name, value);
  const field = (key: string): never => (Object.hasOwn(value, key) ? value[key] : undefined) as never;
  const kind: unknown = field('kind');
  switch (kind) {
    case 'constant':
      return constant(field('rate'));
    case 'exponentialDecay':
      return exponentialDecay(field('initialRate'), field('k'));
    case 'cosine':
      return cosine(field('initialRate'), field('steps'), field('finalRate'));
    case 'warmup':
      return warmup(field('steps'), toSchedule(where, `${name}.next`, field('next'), nesting + 1));
    case 'piecewise':
      return piecewise(field('boundaries'), field('rates'));
  }
  if (!Object.hasOwn(value, 'kind')) throw refuse(where, name, value);
  const kinds = ['constant', 'exponentialDecay', 'cosine', 'warmup', 'piecewise'];
  throw new PushforwardError('INVALID_ARGUMENT', where, `${name}.kind to be ${describeChoices(kinds)}`, describe(kind));
}

/**
 * The rates of `count` consecutive steps, for the table that a plan's run takes.
 * @internal
 */
export function ratesFor(schedule: Schedule, firstStep: number, count: number): Float64Array {
  assertInteger('ratesFor', 'firstStep', firstStep);
  assertInteger('ratesFor', 'count', count, 0, 2 ** 31 - 1);
  const data = dataOf(schedule);
  const rates = allocate('ratesFor', `${count} rates`, () => new Float64Array(count));
  if (data.kind === 'constant') return rates.fill(data.rate);
  for (let i = 0; i < count; i++) rates[i] = rateAt(data, firstStep + i);
  return rates;
}
