// Recurrent layers over scan: [B, T, in] → the last state [B, units], or all of them [B, T, units].
import { assertBoolean, assertInteger, describeShape, PushforwardError, readOptions } from '../errors.ts';
import { dense } from '../ops/product.ts';
import { slice, transpose } from '../ops/shape.ts';
import type { ParameterTable } from '../trace/graph.ts';
import { currentGraph } from '../trace/graph.ts';
import type { Value } from '../trace/value.ts';
import { scan } from '../transforms/scan.ts';
import type { Model } from './layers.ts';
import { parameter, shared } from './parameter.ts';

/** Options of {@link rnn} and {@link gru}. */
export interface RecurrentOptions {
  /** Whether every state is given, [B, T, units], and not the last alone, [B, units]. Default: false */
  sequence?: boolean;
}

/** Weights of x and of h for `gates` blocks of units side by side, and their biases. */
interface Weights {
  readonly wx: Value;
  readonly wh: Value;
  readonly bx: Value;
  readonly bh: Value;
}

type Cell = (h: Value, x: Value, weights: Weights) => Value;

function recurrent(where: string, units: number, gates: number, options: unknown, cell: Cell): Model {
  assertInteger(where, 'units', units, 1, 2 ** 31 - 1);
  const { sequence = false } = readOptions<RecurrentOptions>(where, options, ['sequence']);
  assertBoolean(where, 'sequence', sequence);
  const cache = new WeakMap<ParameterTable, Weights>();
  return (input) => {
    const [batch, , size] = input.shape;
    if (input.shape.length !== 3 || batch === undefined || size === undefined) {
      throw new PushforwardError('SHAPE_MISMATCH', where, 'an input [B, T, in]', describeShape(input.shape));
    }
    const weights = shared(
      () => ({
        wx: parameter('wx', [size, gates * units], 'glorotUniform'),
        wh: parameter('wh', [units, gates * units], 'glorotUniform'),
        bx: parameter('bx', [gates * units], 'zeros'),
        bh: parameter('bh', [gates * units], 'zeros'),
      }),
      cache,
    );
    const start = currentGraph(where).emit('full', [], { shape: [batch, units], value: 0 })[0] as Value;
    const xs = transpose(input, [1, 0, 2]);
    if (!sequence) return scan((h: Value, x: Value) => [cell(h, x, weights)], start, xs)[0];
    const step = (h: Value, x: Value): [Value, Value] => {
      const next = cell(h, x, weights);
      return [next, next];
    };
    return transpose(scan(step, start, xs)[1], [1, 0, 2]);
  };
}

/** h' = tanh(x wx + bx + h wh + bh). Parameters: wx [in, units], wh [units, units], bx and bh [units]. */
export function rnn(units: number, options?: RecurrentOptions): Model {
  return recurrent('nn.rnn', units, 1, options, (h, x, { wx, wh, bx, bh }) =>
    dense(x, wx, bx)
      .add(dense(h, wh, bh))
      .tanh(),
  );
}

/**
 * Gated recurrent unit (Cho et al. 2014, in the form of cuDNN and PyTorch): with r, z, n side by side in the weights,
 * r = σ(x wr + h ur), z = σ(x wz + h uz), n = tanh(x wn + r ⊙ (h un)), h' = (1 − z) ⊙ n + z ⊙ h, biases in every product.
 * Parameters: wx [in, 3·units], wh [units, 3·units], bx and bh [3·units].
 */
export function gru(units: number, options?: RecurrentOptions): Model {
  return recurrent('nn.gru', units, 3, options, (h, x, { wx, wh, bx, bh }) => {
    const a = dense(x, wx, bx);
    const b = dense(h, wh, bh);
    const gate = (from: Value, i: number): Value => slice(from, [0, i * units], [h.shape[0] ?? 1, units]);
    const r = gate(a, 0).add(gate(b, 0)).sigmoid();
    const z = gate(a, 1).add(gate(b, 1)).sigmoid();
    const n = gate(a, 2)
      .add(r.mul(gate(b, 2)))
      .tanh();
    return n.add(z.mul(h.sub(n)));
  });
}
