// tfjs on its wasm backend, which has no forward mode.
import { fileURLToPath } from 'node:url';
import { batchOf, rate, serve, sizes, weightsOf } from './serve.mjs';

await serve(async () => {
  console.log = console.info = console.warn = console.error; // its greetings are not answers
  const tf = await import('@tensorflow/tfjs');
  const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
  setWasmPaths(fileURLToPath(new URL('node_modules/@tensorflow/tfjs-backend-wasm/dist/', import.meta.url)));
  const started = await tf.setBackend('wasm');
  await tf.ready();
  if (!started) throw new Error('the wasm backend does not start');
  const parameters = () =>
    sizes
      .slice(1)
      .flatMap((fanOut, i) => [
        tf.variable(tf.tensor2d(weightsOf(sizes[i], fanOut), [sizes[i], fanOut])),
        tf.variable(tf.zeros([fanOut])),
      ]);
  const loss = ([w0, b0, w1, b1, w2, b2], x, t) => {
    const layer = (input, w, b, activation) => tf.fused.matMul({ a: input, b: w, bias: b, activation });
    const hidden = layer(layer(x, w0, b0, 'relu'), w1, b1, 'relu');
    return tf.losses.softmaxCrossEntropy(t, layer(hidden, w2, b2, 'linear'));
  };
  const inputs = (size) => {
    const { x, t } = batchOf(size);
    return [tf.tensor2d(x, [size, 784]), tf.tensor2d(t, [size, 10])];
  };
  return {
    version: tf.version.tfjs,
    works: {
      'MLP f32 forward': (size) => {
        const [[x, t], p] = [inputs(size), parameters()];
        return () => tf.tidy(() => void loss(p, x, t).dataSync());
      },
      'MLP f32 backprop': (size) => {
        const [[x, t], p] = [inputs(size), parameters()];
        const optimizer = tf.train.sgd(rate);
        return () => {
          optimizer.minimize(() => loss(p, x, t), false, p);
          p[0].dataSync().at(0);
        };
      },
    },
  };
});
