// checkpoint: a function whose residuals are computed again instead of kept.
import { assertFunction } from '../errors.ts';
import { unflatten } from '../tree.ts';
import { type Traceable, traceCall } from './call.ts';
import type { Args } from './transforms.ts';

/**
 * f itself, for use inside traced functions; reverse mode keeps only its arguments and computes f again on the way back. Gradients are
 * the same, the tape is shorter, and the time of one more pass through f is the price.
 */
export function checkpoint<A extends Args, R>(f: (...args: A) => R): (...args: A) => R {
  assertFunction('checkpoint', 'f', f);
  return (...args) => {
    const { graph, body, inputs } = traceCall('checkpoint', f as unknown as Traceable, args);
    return unflatten(body.structure, graph.emit('checkpoint', inputs, {}, [body.graph])) as R;
  };
}
