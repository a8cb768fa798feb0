// Parameters of a model: declared while it is traced, one slot of the trainer's store each.
import { assertChoice, describe, describeShape, PushforwardError } from '../errors.ts';
import { assertShape } from '../tensor.ts';
import { currentGraph, type ParameterTable } from '../trace/graph.ts';
import type { Value } from '../trace/value.ts';

/** How a parameter begins: heNormal = gaussian · √(2 / fanIn), glorotUniform = uniform in ±√(6 / (fanIn + fanOut)). */
export type Initializer = 'heNormal' | 'glorotUniform' | 'zeros' | 'ones';

const initializers: readonly Initializer[] = ['heNormal', 'glorotUniform', 'zeros', 'ones'];

const prefixes: string[] = [];

/** Runs f with `name.` in front of the names of the parameters it declares. */
export function withScope<T>(name: string, f: () => T): T {
  prefixes.push(name);
  try {
    return f();
  } finally {
    prefixes.pop();
  }
}

/** The names in front, joined: `1.0.` */
export function scopePrefix(): string {
  return prefixes.map((prefix) => `${prefix}.`).join('');
}

/**
 * A parameter of the model that is being traced. Its ordinal, which the random streams use, is its place in the order of declaration.
 * @param name unique in the model; a sequential puts its layer's index in front: `0.w`
 * @param shape at most 8 sizes ≥ 1
 * @param initializer default: 'heNormal'; fanIn is the product of all sizes but the last, fanOut the last
 * @throws PushforwardError INVALID_ARGUMENT outside a Trainer's model, and for a name declared twice
 */
export function parameter(name: string, shape: readonly number[], initializer: Initializer = 'heNormal'): Value {
  return declareParameter(name, shape, initializer, false);
}

/** {@link parameter}, or the `weight` of a product. @internal */
export function declareParameter(
  name: string,
  shape: readonly number[],
  initializer: Initializer,
  weight: boolean,
): Value {
  if (typeof name !== 'string' || name === '' || name.length > 200 || name.includes('/')) {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      'parameter',
      'a name of 1 to 200 characters without "/"',
      describe(name),
    );
  }
  const sizes = assertShape('parameter', `shape of '${name}'`, shape, 1);
  assertChoice('parameter', `initializer of '${name}'`, initializer, initializers);
  const graph = currentGraph('parameter');
  if (graph.context.parameters === undefined) {
    throw new PushforwardError(
      'INVALID_ARGUMENT',
      'parameter',
      'to be called in the model of a Trainer',
      `'${name}' ${describeShape(sizes)} in another function`,
    );
  }
  return graph.context.parameters.declare(scopePrefix() + name, sizes, initializer, weight);
}

/**
 * Declares a layer's parameters at its first use in a trace; later uses of the same layer object get the same ones.
 * @internal
 */
export function shared<T>(declare: () => T, cache: WeakMap<ParameterTable, T>): T {
  const table = currentGraph('layer').context.parameters;
  if (table === undefined) return declare();
  const known = cache.get(table);
  if (known !== undefined) return known;
  const declared = declare();
  cache.set(table, declared);
  return declared;
}
