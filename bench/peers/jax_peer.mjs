// @jax-js/jax on its wasm backend.
import { readFileSync } from 'node:fs';
import { batchOf, rate, serve, sizes, weightsOf } from './serve.mjs';

await serve(async () => {
  const {
    blockUntilReady,
    defaultDevice,
    init,
    jit,
    jvp,
    nn,
    numpy: np,
    random,
    valueAndGrad,
  } = await import('@jax-js/jax');
  await init('wasm');
  defaultDevice('wasm');
  const { version } = JSON.parse(
    readFileSync(new URL('node_modules/@jax-js/jax/package.json', import.meta.url), 'utf8'),
  );
  const parameters = () =>
    sizes
      .slice(1)
      .flatMap((fanOut, i) => [np.array(weightsOf(sizes[i], fanOut)).reshape([sizes[i], fanOut]), np.zeros([fanOut])]);
  const loss = ([w0, b0, w1, b1, w2, b2], x, t) => {
    const hidden = nn.relu(np.matmul(nn.relu(np.matmul(x, w0).add(b0)), w1).add(b1));
    const logits = np.matmul(hidden, w2).add(b2);
    return nn
      .logSoftmax(logits)
      .mul(t)
      .sum()
      .mul(-1 / x.shape[0]);
  };
  const refs = (arrays) => arrays.map((a) => a.ref);
  const inputs = (size) => {
    const { x, t } = batchOf(size);
    return [np.array(x).reshape([size, 784]), np.array(t).reshape([size, 10])];
  };
  /** A step that replaces the parameters: (p, x, t, key) → new p. */
  const training = (step) => (size) => {
    const [x, t] = inputs(size);
    const jitted = jit(step);
    let p = parameters();
    let seed = 0;
    return async () => {
      p = jitted(p, x.ref, t.ref, random.key(seed++));
      await blockUntilReady(p);
    };
  };
  const descend = (p, scale, v) => p.map((w, i) => w.sub(v[i].mul(scale.ref)));
  return {
    version,
    works: {
      'MLP f32 forward': (size) => {
        const [x, t] = inputs(size);
        const p = parameters();
        const jitted = jit(loss);
        return async () => {
          const value = jitted(refs(p), x.ref, t.ref);
          await blockUntilReady(value);
          value.dispose();
        };
      },
      'MLP f32 forward gradient': training((p, x, t, key) => {
        const keys = random.split(key, p.length);
        const v = p.map((w, i) => random.normal(keys.ref.slice(i), w.shape));
        const [value, c] = jvp((q) => loss(q, x, t), [refs(p)], [refs(v)]);
        value.dispose();
        return descend(p, c.mul(rate), v);
      }),
      'MLP f32 backprop': training((p, x, t, key) => {
        key.dispose();
        const [value, gradients] = valueAndGrad((q) => loss(q, x, t))(refs(p));
        value.dispose();
        return descend(p, np.array(rate), gradients);
      }),
    },
  };
});
