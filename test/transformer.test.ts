// A transformer on characters: it learns under backprop, and its directional derivative is ⟨∇f, v⟩.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  adam,
  backprop,
  evaluate,
  forwardGradient,
  type GradientEstimator,
  type Model,
  nn,
  type Optimizer,
  ops,
  rademacher,
  sgd,
  type Tensor,
  Trainer,
  type TrainerOptions,
  tensor,
  type Value,
} from '../src/index.ts';
import { normals, uniforms } from './support/draw.ts';
import { type Misuse, refuses } from './support/refusal.ts';

const text = `
The harbour lay at the bottom of the town, and every street of the town ran down to it. In the morning the boats went out while the lamps
were still burning, and in the evening they came back one after another, and the gulls came back with them. The old man who kept the light
on the long wall counted the boats as they went and counted them again as they came. He wrote both numbers in a book. When the numbers were
the same he turned the page, and when they were not the same he left the page open and sat by the window and waited.

He had kept the book for thirty years. On most of the pages the two numbers were the same, and of those days there was nothing more to say.
The wind was written down, and the height of the water, and now and then the name of a ship that had come in from far away. But on some of
the pages the second number was smaller than the first, and below it, in a hand that was not so steady, there was the name of a boat, and
below the name there was a line drawn with a ruler from one side of the page to the other.

One evening in the autumn the first number was eleven and the second was ten. The wind had gone round to the north in the afternoon, and the
water had come over the wall twice. The old man did not turn the page. He put more oil in the lamp, and he put the chair by the window, and
he looked at the place where the dark water and the dark sky came together. The people of the town came down to the harbour one after another
and stood below the wall, and nobody said anything, because there was nothing to say that was not known to all of them.

In the morning, when the light was grey and the wind had gone down, the eleventh boat came round the end of the wall. She had lost her mast
and she was low in the water, and there were three people in her where there should have been three. The old man counted them, and then he
counted the boats, and he wrote the number in the book, and then he turned the page. After that he put out the lamp, because it was day, and
went down the long stair and along the wall to the town, where all the streets ran up from the harbour, and the bread was being baked.
`
  .trim()
  .replaceAll('\n', ' ');
const alphabet = [...new Set(text)].sort();
const characters = Int32Array.from(text, (each) => alphabet.indexOf(each));

/** `size` pieces of the text, and the same one character later. */
function pieces(size: number, length: number, random: () => number): { inputs: Tensor; targets: Tensor } {
  const inputs = new Int32Array(size * length);
  const targets = new Int32Array(size * length);
  for (let i = 0; i < size; i++) {
    const start = Math.floor(random() * (characters.length - length - 1));
    inputs.set(characters.subarray(start, start + length), i * length);
    targets.set(characters.subarray(start + 1, start + length + 1), i * length);
  }
  return { inputs: tensor(inputs, [size, length]), targets: tensor(targets, [size, length]) };
}

interface Shape {
  readonly channels: number;
  readonly heads: number;
  readonly length: number;
  readonly vocabulary: number;
}

const language = ({ channels, heads, length, vocabulary }: Shape): Model =>
  nn.sequential(
    nn.embedding(vocabulary, channels),
    nn.positionalEmbedding(length),
    nn.transformerBlock({ heads, causal: true }),
    nn.transformerBlock({ heads, hidden: 2 * channels, causal: true }),
    nn.layerNorm(),
    nn.dense(vocabulary),
  );
const crossEntropy = (logits: Value, labels: Value): Value => ops.softmaxCrossEntropy(logits, labels).mean({ axis: 1 });

const options = (shape: Shape, gradient: GradientEstimator, optimizer: Optimizer): TrainerOptions => ({
  model: language(shape),
  inputShape: [shape.length],
  inputType: 'int32',
  loss: crossEntropy,
  gradient,
  optimizer,
  device: 'cpu',
  seed: 5,
});

test('two layers learn English letters: the mean loss of each quarter is below that of the one before', async () => {
  const shape = { channels: 32, heads: 2, length: 32, vocabulary: alphabet.length };
  using trainer = new Trainer(options(shape, backprop(), adam({ learningRate: 3e-3 })));
  const random = uniforms(17);
  const steps = 400;
  const losses: number[] = [];
  const start = performance.now();
  for (let step = 0; step < steps; step++) losses.push((await trainer.step(pieces(16, 32, random))).loss);
  const seconds = (performance.now() - start) / 1000;
  const quarters = [0, 1, 2, 3].map(
    (i) => losses.slice((i * steps) / 4, ((i + 1) * steps) / 4).reduce((sum, loss) => sum + loss, 0) / (steps / 4),
  );
  console.log(`${alphabet.length} characters, quarters ${quarters.map((x) => x.toFixed(3))}, ${seconds.toFixed(1)} s`);
  assert.ok(Math.abs(losses[0]! - Math.log(alphabet.length)) < 1.5, 'it begins near uniform');
  for (let i = 1; i < 4; i++) assert.ok(quarters[i]! < quarters[i - 1]! - 0.05, `${quarters}`);
  // Single letters by frequency would be at about 2.85.
  assert.ok(quarters[3]! < 2.2, `${quarters}`);
  assert.ok(seconds < 15, `${seconds} s`);
});

test('the directional derivatives of the whole network are ⟨∇f, v⟩', async () => {
  const shape = { channels: 6, heads: 2, length: 5, vocabulary: 7 };
  const random = uniforms(3);
  const data = {
    inputs: tensor(
      Int32Array.from({ length: 15 }, () => Math.floor(7 * random())),
      [3, 5],
    ),
    targets: tensor(
      Int32Array.from({ length: 15 }, () => Math.floor(7 * random())),
      [3, 5],
    ),
  };
  const sampler = rademacher();
  const directions = 3;
  for (const [device, relative] of [
    ['reference', 1e-12],
    ['cpu', 1e-4],
  ] as const) {
    const still = sgd({ learningRate: 0 });
    const one = sgd({ learningRate: 1 });
    using forward = new Trainer({ ...options(shape, forwardGradient({ sampler, directions }), still), device });
    using backward = new Trainer({ ...options(shape, backprop(), one), device });
    const before = await backward.parameters();
    const { loss } = await backward.step(data);
    const after = await backward.parameters();
    const result = await forward.step(data);
    assert.ok(Math.abs(result.loss - loss) <= relative);
    const names = Object.keys(before);
    assert.is(names.length, 2 + 2 * 16 + 4);
    for (let direction = 0; direction < directions; direction++) {
      let expected = 0;
      let scale = 0;
      for (const [parameter, name] of names.entries()) {
        const { shape: size, data: from } = before[name]!;
        const v = sampler.materialise({ shape: [...size], parameter, seed: 5, step: 0, direction }).data;
        for (let i = 0; i < from.length; i++) {
          const gradient = from[i]! - after[name]!.data[i]!;
          expected += gradient * v[i]!;
          scale += Math.abs(gradient);
        }
      }
      const error = Math.abs(result.directionalDerivatives![direction]! - expected);
      assert.ok(error <= relative * scale, `${device} direction ${direction}: off by ${error} at scale ${scale}`);
    }
  }
});

const squared = (output: Value, target: Value): Value => ops.meanSquaredError(output, target);
const layer = (model: Model, inputShape: number[]): TrainerOptions => ({
  model,
  inputShape,
  loss: squared,
  gradient: backprop(),
  optimizer: sgd({ learningRate: 0.1 }),
  device: 'reference',
});

test('multiHeadAttention is its formula, head by head', async () => {
  const [batch, length, channels, heads] = [2, 5, 6, 3] as const;
  for (const causal of [false, true]) {
    using trainer = new Trainer(layer(nn.multiHeadAttention(heads, { causal }), [length, channels]));
    const x = tensor(Float64Array.from(normals(batch * length * channels, 2)), [batch, length, channels]);
    // A step first, so that biases are not zero.
    await trainer.step({ inputs: x, targets: tensor(new Float64Array(batch * length * channels), [...x.shape]) });
    const p = await trainer.parameters();
    assert.equal(Object.keys(p), ['wq', 'bq', 'wk', 'bk', 'wv', 'bv', 'wo', 'bo']);
    const byHand = (input: Value): Value => {
      const [q, k, v] = ['q', 'k', 'v'].map((name) => ops.dense(input, p[`w${name}`]!, p[`b${name}`]!));
      const size = channels / heads;
      const each = Array.from({ length: heads }, (_, head) => {
        const of = (value: Value): Value => ops.slice(value, [0, 0, head * size], [batch, length, size]);
        const scores = ops.matmul(of(q!), of(k!), { transposeB: true }).div(Math.sqrt(size));
        const hidden = Float64Array.from({ length: length * length }, (_, i) =>
          causal && i % length > Math.floor(i / length) ? -1e30 : 0,
        );
        return ops.matmul(ops.softmax(scores.add(tensor(hidden, [length, length]))), of(v!));
      });
      return ops.dense(ops.concat(each, { axis: 2 }), p.wo!, p.bo!);
    };
    const expected = await evaluate(byHand, { device: 'reference' })(x);
    const actual = await trainer.predict(x);
    for (let i = 0; i < expected.data.length; i++) assert.ok(Math.abs(actual.data[i]! - expected.data[i]!) < 1e-12);
  }
});

test('a block has its parameters under four names, takes any length, and shares them when used twice', async () => {
  const block = nn.transformerBlock({ heads: 2, causal: true });
  using trainer = new Trainer(layer(nn.sequential(block, block), [4, 6]));
  const parameters = await trainer.parameters();
  assert.equal(
    Object.entries(parameters).map(([name, { shape }]) => `${name} ${shape}`),
    [
      '0.norm1.scale 6',
      '0.norm1.shift 6',
      ...['q', 'k', 'v', 'o'].flatMap((name) => [`0.attention.w${name} 6,6`, `0.attention.b${name} 6`]),
      '0.norm2.scale 6',
      '0.norm2.shift 6',
      '0.mlp.w1 6,24',
      '0.mlp.b1 24',
      '0.mlp.w2 24,6',
      '0.mlp.b2 6',
    ],
  );
  const x = tensor(Float64Array.from(normals(2 * 4 * 6, 4)), [2, 4, 6]);
  const first = await trainer.step({ inputs: x, targets: x });
  const second = await trainer.step({ inputs: x, targets: x });
  assert.ok(second.loss < first.loss);
});

test('inputs that a transformer cannot take', async () => {
  const make = (model: Model, inputShape: number[]) => async (): Promise<unknown> => {
    using trainer = new Trainer(layer(model, inputShape));
    return await trainer.parameters();
  };
  const SHAPE = 'SHAPE_MISMATCH';
  const table: Misuse[] = [
    [make(nn.multiHeadAttention(2), [6]), SHAPE, 'an input [B, T, C]'],
    [make(nn.multiHeadAttention(4), [3, 6]), SHAPE, 'channels that 4 heads divide'],
    [make(nn.transformerBlock({ heads: 1 }), [2, 3, 4]), SHAPE, 'an input [B, T, C]'],
    [make(nn.positionalEmbedding(3), [4, 2]), SHAPE, 'at most 3 positions'],
  ];
  for (const misuse of table) await refuses(misuse);
});

test.run();
