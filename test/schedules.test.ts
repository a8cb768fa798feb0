import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  constant,
  cosine,
  exponentialDecay,
  piecewise,
  ratesFor,
  type Schedule,
  toSchedule,
  warmup,
} from '../src/schedules.ts';
import { type Misuse, refuses } from './support/refusal.ts';

const near = (a: number, b: number) =>
  assert.ok(Math.abs(a - b) <= 1e-15 * Math.max(1, Math.abs(b)), `${a} is not ${b}`);

test('constant', () => {
  assert.is(constant(0.1).at(0), 0.1);
  assert.is(constant(0.1).at(1e9), 0.1);
  assert.is(constant(0).at(5), 0);
});

test('exponentialDecay is the law of the paper', () => {
  const schedule = exponentialDecay(2e-4, 1e-4);
  assert.is(schedule.at(0), 2e-4);
  near(schedule.at(10_000), 2e-4 / Math.E);
  assert.is(exponentialDecay(1, 1).at(1e6), 0);
});

test('cosine goes from the initial to the final rate and stays', () => {
  const schedule = cosine(1, 100, 0.2);
  assert.is(schedule.at(0), 1);
  near(schedule.at(50), 0.6);
  near(schedule.at(100), 0.2);
  assert.is(schedule.at(1e6), schedule.at(100));
  near(cosine(1, 100).at(100), 0);
  assert.ok(cosine(1e-3, 7).at(7) >= 0);
});

test('warmup rises in a line to the first rate of the next schedule', () => {
  const schedule = warmup(4, exponentialDecay(1, 0.5));
  assert.equal(
    [0, 1, 2, 3, 4].map((step) => schedule.at(step)),
    [0.25, 0.5, 0.75, 1, 1],
  );
  near(schedule.at(6), Math.exp(-1));
});

test('piecewise changes at its boundaries', () => {
  const schedule = piecewise([10, 20], [0.1, 0.01, 0.001]);
  assert.equal(
    [0, 9, 10, 19, 20, 1e6].map((step) => schedule.at(step)),
    [0.1, 0.1, 0.01, 0.01, 0.001, 0.001],
  );
  assert.is(piecewise([], [3]).at(7), 3);
});

const all: Record<string, Schedule> = {
  constant: constant(0.1),
  exponentialDecay: exponentialDecay(0.1, 1e-3),
  cosine: cosine(0.1, 30, 0.01),
  warmup: warmup(5, warmup(7, cosine(0.1, 20))),
  piecewise: piecewise([3, 11], [1, 0.5, 0.25]),
};
for (const [kind, schedule] of Object.entries(all)) {
  test(`${kind} is frozen, and comes back from its JSON`, () => {
    assert.is(schedule.kind, kind);
    assert.ok(Object.isFrozen(schedule));
    assert.not.ok(Object.keys(schedule).includes('at'));
    const back = toSchedule('Trainer.load', 'learningRate', JSON.parse(JSON.stringify(schedule)));
    assert.equal(JSON.stringify(back), JSON.stringify(schedule));
    for (let step = 0; step < 50; step++) assert.is(back.at(step), schedule.at(step));
  });

  test(`${kind}: a table of rates is at() of each step`, () => {
    const table = ratesFor(schedule, 3, 40);
    assert.is(table.length, 40);
    assert.equal(
      [...table],
      Array.from({ length: 40 }, (_, i) => schedule.at(3 + i)),
    );
    assert.is(ratesFor(schedule, 0, 0).length, 0);
  });
}

test('a later change of the given arrays changes nothing', () => {
  const boundaries = [5];
  const rates = [1, 2];
  const schedule = piecewise(boundaries, rates);
  rates[0] = 9;
  boundaries[0] = 1;
  assert.is(schedule.at(4), 1);
});

test('a number is a constant schedule', () => {
  assert.equal(JSON.stringify(toSchedule('sgd', 'learningRate', 0.5)), '{"kind":"constant","rate":0.5}');
});

const any = <T>(value: unknown): T => value as T;
let sixteen: Schedule = constant(1);
for (let i = 0; i < 16; i++) sixteen = warmup(1, sixteen);
let nest: unknown = { kind: 'constant', rate: 1 };
for (let i = 0; i < 10_000; i++) nest = { kind: 'warmup', steps: 1, next: nest };
const restore = (value: unknown) => () => toSchedule('Trainer.load', 'learningRate', value);
const misuses: Misuse[] = [
  [
    () => constant(-1),
    'INVALID_ARGUMENT',
    '[constant] expected rate to be a finite number of at least 0 but received -1',
  ],
  [() => constant(Number.NaN), 'INVALID_ARGUMENT', 'NaN'],
  [() => constant(Number.POSITIVE_INFINITY), 'INVALID_ARGUMENT', 'Infinity'],
  [() => constant(any('0.1')), 'INVALID_ARGUMENT', '"0.1"'],
  [() => constant(any(undefined)), 'INVALID_ARGUMENT', 'undefined'],
  [() => exponentialDecay(-1, 0), 'INVALID_ARGUMENT', 'initialRate'],
  [() => exponentialDecay(1, -1), 'INVALID_ARGUMENT', 'k to be a finite number of at least 0'],
  [() => exponentialDecay(1, any(undefined)), 'INVALID_ARGUMENT', 'k to be'],
  [() => cosine(1, 0), 'INVALID_ARGUMENT', 'steps to be an integer from 1 to 2^53 - 1 but received 0'],
  [() => cosine(1, 1.5), 'INVALID_ARGUMENT', '1.5'],
  [() => cosine(1, 10, -1), 'INVALID_ARGUMENT', 'finalRate'],
  [() => cosine(1, 10, any(null)), 'INVALID_ARGUMENT', 'null'],
  [() => warmup(0, constant(1)), 'INVALID_ARGUMENT', 'steps'],
  [() => warmup(10, any(undefined)), 'INVALID_ARGUMENT', 'then to be a number, or a schedule'],
  [() => warmup(10, any({ at: () => 1 })), 'INVALID_ARGUMENT', 'then to be a number, or a schedule'],
  [() => warmup(1, sixteen), 'INVALID_ARGUMENT', 'at most 15 warmups'],
  [() => piecewise(any(10), [1, 2]), 'INVALID_ARGUMENT', 'boundaries to be an array'],
  [() => piecewise([10], any(1)), 'INVALID_ARGUMENT', 'rates to be an array'],
  [() => piecewise([10], [1]), 'INVALID_ARGUMENT', 'one rate more than boundaries, 2 but received 1'],
  [() => piecewise([10, 10], [1, 2, 3]), 'INVALID_ARGUMENT', 'boundaries[1] to be an integer from 11'],
  [() => piecewise([0], [1, 2]), 'INVALID_ARGUMENT', 'boundaries[0] to be an integer from 1'],
  [() => piecewise([5], [1, -2]), 'INVALID_ARGUMENT', 'rates[1]'],
  [() => piecewise(new Array(1e6), new Array(1e6 + 1)), 'INVALID_ARGUMENT', 'at most 100000'],
  [() => constant(1).at(-1), 'INVALID_ARGUMENT', '[Schedule.at] expected step'],
  [() => constant(1).at(0.5), 'INVALID_ARGUMENT', '0.5'],
  [() => constant(1).at(2 ** 53), 'INVALID_ARGUMENT', 'step'],
  [() => constant(1).at(any('1')), 'INVALID_ARGUMENT', '"1"'],
  [restore({ kind: 'linear' }), 'INVALID_ARGUMENT', "learningRate.kind to be 'constant', 'exponentialDecay'"],
  [restore({ kind: 'constant', rate: 'x' }), 'INVALID_ARGUMENT', 'rate'],
  [restore({ kind: 'constant' }), 'INVALID_ARGUMENT', 'rate'],
  [restore(nest), 'INVALID_ARGUMENT', 'learningRate'],
  [restore([]), 'INVALID_ARGUMENT', 'learningRate'],
];
for (const [i, misuse] of misuses.entries()) test(`refused: ${i} ${misuse[2]}`, () => refuses(misuse));

test.run();
