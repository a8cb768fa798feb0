// Every float32 device (cpu on every instruction set): every case of test/cases within its rounding bound, K directions, inputs that stay as they were.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../src/binding.ts';
import { jacfwd, ops, type Tensor, tensor, type Value } from '../src/index.ts';
import { drawDirection, drawIntegers, generator, opCases } from './cases/index.ts';
import { compileOn, traceProgram } from './support/native_call.ts';
import { checkSamples, type Data, numbers, onCpu, type Sample, sampleOf, usage, within } from './support/samples.ts';
import { onEverySet, testDevice } from './support/targets.ts';
import { type Numbers, reportUsage, type Truth, truthOf } from './tolerance.ts';

const samples = opCases.filter(({ kind }) => kind !== 'random').map((opCase, i) => sampleOf(opCase, 5000 + i));

onEverySet('every case within its rounding bound, fused and unfused', async () => {
  for (const fuse of [true, false]) {
    for (const sample of samples) await checkSamples([sample], { device: testDevice, fuse });
  }
});

// K directions at once, all dense: x + Σ s_k V_k has at s = 0 the value x and the tangents V_k, both exactly.
interface Directions {
  readonly sample: Sample;
  readonly tangents: readonly (readonly Data[])[];
  readonly truths: readonly Truth[];
  readonly f: (s: Value, x: Value[], tangents: Value[][]) => Value;
}
function directionsOf(sample: Sample, k: number): Directions {
  const random = generator(k);
  const tangents = Array.from({ length: k }, () =>
    sample.x.map(({ shape }) => numbers(shape, drawDirection(shape, random))),
  );
  const integers: Numbers[] = [];
  const { opCase } = sample;
  // The labels of sampleOf again: the same seed draws them first.
  const again = generator(5000 + samples.indexOf(sample));
  for (const each of opCase.integers) integers.push({ shape: each.shape, data: drawIntegers(each, again) });
  return {
    sample,
    tangents,
    truths: tangents.map((v) => truthOf({ ...opCase, inputs: sample.x, tangents: v, integers })),
    f: (s, x, lists) => {
      const moved = x.map((value, i) => {
        const shares = lists.map((list, direction) =>
          ops.mul(ops.reshape(ops.slice(s, [direction], [1]), []), list[i]!),
        );
        return shares.reduce((sum, share) => ops.add(sum, share), value);
      });
      return sample.f(...moved);
    },
  };
}
const manyDirections = samples
  .filter(({ opCase, x, truth }) => !opCase.integer && x.length > 0 && truth.output.length < 400)
  .flatMap((sample) => (sample.opCase.kind === 'products' ? [1, 3, 8] : [3]).map((k) => directionsOf(sample, k)));

onEverySet('K directions in one pass, each within the bound of a single one', async () => {
  for (const { sample, tangents, truths, f } of manyDirections) {
    const k = tangents.length;
    const s = tensor(new Float32Array(k));
    const columns = (await jacfwd(f, { device: testDevice })(
      s as never,
      sample.x.map(onCpu) as never,
      tangents.map((list) => list.map(onCpu)) as never,
    )) as unknown as Tensor;
    for (const [direction, truth] of truths.entries()) {
      const column = Float32Array.from(truth.tangent, (_, i) => columns.data[i * k + direction] as number);
      within(sample.opCase.op, `${sample.name} direction ${direction} of ${k}`, tensor(column), truth.tangent);
    }
  }
});

onEverySet('inputs, and what lies around them, stay as they were', async (isa) => {
  const session = new native.Session(testDevice, isa, 0);
  for (const { f, x, name } of samples.filter((sample) => sample.x.length > 0)) {
    const plan = compileOn(
      session,
      traceProgram(x, (...values) => [f(...values)]),
    );
    const margin = 16;
    const wholes = x.map(({ data }) => {
      const whole = new Float32Array(data.length + 2 * margin).fill(Number.NaN);
      whole.set(data, margin);
      return whole;
    });
    const before = wholes.map((whole) => whole.slice());
    const inputs = wholes.map((whole) => whole.subarray(margin, whole.length - margin));
    await plan.run({ inputs, keyLow: 0, keyHigh: 0, firstStep: 0, steps: 1 });
    for (const [i, whole] of wholes.entries()) {
      assert.equal(new Uint32Array(whole.buffer), new Uint32Array(before[i]!.buffer), `${name}: input ${i}`);
    }
  }
  session.dispose();
});

test.after(() => reportUsage(usage));
test.run();
