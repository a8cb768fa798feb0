// Every golden case of every op that is here: value, jvp and vjp, on reference and on each float32 device, fused and unfused.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { evaluate, jvp, ops, type RunOptions, type Tensor, tensor, type Value, vjp } from '../src/index.ts';
import { callOp, onDevice } from './cases/index.ts';
import { type GoldenTensor, type OpCase, opCases } from './golden.ts';
import type { Approx } from './oracle/approx.ts';
import { onEverySet, testApart, testDevice } from './support/targets.ts';
import { reportUsage, sameInDouble, type Truth, truthOf, Usage, withinBounds } from './tolerance.ts';

// The golden value of meanSquaredError is one scalar; ours is per example.
const averaged = ({ op }: OpCase): boolean => op === 'meanSquaredError';

/** The case as a function of its real inputs. */
function functionOf(golden: OpCase): (...x: Value[]) => Value {
  const integers = Object.values(golden.indices ?? {}).map(({ shape, data }) => tensor(Int32Array.from(data), shape));
  return (...x) => {
    const device = x[0]?.dtype === 'float64' ? 'reference' : 'cpu';
    const constants = Object.values(golden.constants ?? {}).map(({ shape, data }) =>
      onDevice(Float64Array.from(data), shape, device),
    );
    const y = callOp(golden.op, golden.attributes, x, [...integers, ...constants]);
    return averaged(golden) ? y.mean() : y;
  };
}

/** The oracle at the golden point, whose inputs are no float32 numbers. */
const boundsOf = (golden: OpCase): Truth =>
  truthOf(
    {
      ...golden,
      integers: [...Object.values(golden.indices ?? {}), ...Object.values(golden.constants ?? {})],
      mean: averaged(golden),
    },
    true,
  );

const here = opCases.filter(({ op }) => op in ops);
const missing = [...new Set(opCases.filter(({ op }) => !(op in ops)).map(({ op }) => op))];
if (missing.length > 0) console.log(`SKIP golden cases of ${missing.join(', ')}: ops of a later version`);
const functions = here.map(functionOf);
const bounds = here.map(boundsOf);
const usage = new Map<string, Usage>();

async function checkCase(index: number, options: RunOptions & { device: 'cpu' | 'cuda' | 'reference' }): Promise<void> {
  const golden = here[index]!;
  const f = functions[index]!;
  const given = ({ shape, data }: GoldenTensor): Tensor => onDevice(Float64Array.from(data), shape, options.device);
  const x = golden.inputs.map(given);
  const y = await evaluate(f, options)(...x);
  const [yJvp, yDot] = await jvp(f, x, golden.tangents.map(given), options);
  const [yVjp, pullback] = await vjp(f, x, options);
  const xBar = (await pullback(given(golden.outputCotangent))) as Tensor[];

  const check = (part: string, actual: Tensor, expected: GoldenTensor, bound: readonly Approx[]): void => {
    const name = `${golden.op} ${JSON.stringify(golden.attributes)} ${golden.inputs.map(({ shape }) => `[${shape}]`)} ${part}`;
    assert.equal([...actual.shape], expected.shape, `${name}: shape`);
    if (options.device === 'reference') {
      sameInDouble(name, actual, expected.data);
      sameInDouble(`${name}, by the oracle`, actual, bound);
      return;
    }
    if (!usage.has(golden.op)) usage.set(golden.op, new Usage());
    withinBounds(name, actual, bound, usage.get(golden.op));
  };
  const { output, tangent, cotangents } = bounds[index]!;
  check('output', y, golden.output, output);
  check('output of jvp', yJvp, golden.output, output);
  check('output of vjp', yVjp, golden.output, output);
  check('tangent', yDot, golden.outputTangent, tangent);
  for (const [i, expected] of golden.inputCotangents.entries()) {
    check(`cotangent ${i}`, xBar[i]!, expected, cotangents[i]!);
  }
}

testApart('the op cases that are here are most of the file', () => {
  assert.ok(here.length >= 84, `${here.length}`);
});

for (const fuse of [true, false]) {
  testApart(`reference, ${fuse ? 'fused' : 'unfused'}: every case to 1e-10, by PyTorch and by the oracle`, async () => {
    for (const index of here.keys()) await checkCase(index, { device: 'reference', fuse });
  });
}
for (const fuse of [true, false]) {
  onEverySet(`${fuse ? 'fused' : 'unfused'}: every case within its rounding bound`, async () => {
    for (const index of here.keys()) await checkCase(index, { device: testDevice, fuse });
  });
}
test.after(() => reportUsage(usage));

test.run();
