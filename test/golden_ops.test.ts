// Every golden case of every op that is here: value, jvp and vjp, on reference and on each instruction set, fused and unfused.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import { evaluate, jvp, ops, type RunOptions, Tensor, tensor, Value, vjp } from '../src/index.ts';
import { type GoldenTensor, type OpCase, opCases } from './golden.ts';
import { absoluteTerms, tolerance } from './tolerance.ts';

type Operation = (...inputs: unknown[]) => Value;

/** The case as a function of its real inputs. */
function functionOf(golden: OpCase): (...x: Value[]) => Value {
  const integers = Object.values(golden.indices ?? {}).map(({ shape, data }) => tensor(Int32Array.from(data), shape));
  return (...x) => {
    const constants = Object.values(golden.constants ?? {}).map(({ shape, data }) => constantLike(x[0] as Value, shape, data));
    const op = (ops as unknown as Record<string, Operation>)[golden.op] as Operation;
    const { attributes } = golden;
    if (golden.op === 'concat') return op(x, attributes);
    if (golden.op === 'reshape') return op(x[0], attributes.shape);
    if (golden.op === 'transpose') return op(x[0], attributes.permutation);
    if (golden.op === 'slice') return op(x[0], attributes.start, attributes.size);
    const given = Object.keys(attributes).length > 0 ? [attributes] : [];
    const y = op(...x, ...integers, ...constants, ...given);
    // The golden value is one scalar; ours is per example.
    return golden.op === 'meanSquaredError' ? y.mean() : y;
  };
}

function constantLike(x: Value, shape: number[], data: number[]): Tensor {
  return tensor(x.dtype === 'float64' ? Float64Array.from(data) : Float32Array.from(data), shape);
}

function arrayOf({ shape, data }: GoldenTensor, double: boolean): Tensor {
  return tensor(double ? Float64Array.from(data) : Float32Array.from(data), shape);
}

function check(what: string, actual: Tensor, expected: GoldenTensor, allowed: ArrayLike<number> | number): void {
  assert.equal([...actual.shape], expected.shape, `${what}: shape`);
  for (let i = 0; i < expected.data.length; i++) {
    const error = Math.abs((actual.data[i] as number) - (expected.data[i] as number));
    const limit = typeof allowed === 'number' ? allowed * Math.max(1, Math.abs(expected.data[i] as number)) : (allowed[i] as number);
    assert.ok(error <= limit, `${what}[${i}]: ${actual.data[i]} for ${expected.data[i]}, off by ${error}, allowed ${limit}`);
  }
}

async function checkCase(golden: OpCase, options: RunOptions): Promise<void> {
  const double = options.device === 'reference';
  const f = functionOf(golden);
  const x = golden.inputs.map((input) => arrayOf(input, double));
  const xDot = golden.tangents.map((input) => arrayOf(input, double));
  const y = await evaluate(f, options)(...x);
  const [yJvp, yDot] = await jvp(f, x, xDot, options);
  const [yVjp, pullback] = await vjp(f, x, options);
  const xBar = await pullback(arrayOf(golden.outputCotangent, double));
  const allowed = double ? undefined : await absoluteTerms(golden, f);
  const limit = (part: 'output' | 'tangent' | number): ArrayLike<number> | number =>
    allowed === undefined ? 1e-10 : tolerance(golden, allowed, part);
  check('output', y, golden.output, limit('output'));
  check('output of jvp', yJvp, golden.output, limit('output'));
  check('output of vjp', yVjp, golden.output, limit('output'));
  check('tangent', yDot, golden.outputTangent, limit('tangent'));
  for (const [i, expected] of golden.inputCotangents.entries()) {
    check(`cotangent ${i}`, (xBar as Tensor[])[i] as Tensor, expected, limit(i));
  }
}

const here = opCases.filter(({ op }) => op in ops);
const missing = [...new Set(opCases.filter(({ op }) => !(op in ops)).map(({ op }) => op))];
console.log(`SKIP golden cases of ${missing.join(', ')}: ops of a later version`);

test('the op cases that are here are most of the file', () => {
  assert.ok(here.length >= 84, `${here.length}`);
});

for (const fuse of [true, false]) {
  test(`reference, ${fuse ? 'fused' : 'unfused'}: every case to 1e-10`, async () => {
    for (const golden of here) await named(golden, () => checkCase(golden, { device: 'reference', fuse }));
  });
}
for (const isa of native.instructionSets()) {
  for (const fuse of [true, false]) {
    test(`cpu ${isa}, ${fuse ? 'fused' : 'unfused'}: every case within its rounding bound`, async () => {
      const before = process.env.PUSHFORWARD_ISA;
      process.env.PUSHFORWARD_ISA = isa;
      try {
        for (const golden of here) await named(golden, () => checkCase(golden, { device: 'cpu', fuse }));
      } finally {
        if (before === undefined) delete process.env.PUSHFORWARD_ISA;
        else process.env.PUSHFORWARD_ISA = before;
      }
    });
  }
}

async function named(golden: OpCase, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (error instanceof Error) {
      error.message = `${golden.op} ${JSON.stringify(golden.attributes)} ${JSON.stringify(golden.inputs.map(({ shape }) => shape))}: ${error.message}`;
    }
    throw error;
  }
}

test.run();
