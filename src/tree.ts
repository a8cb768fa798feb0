// Trees of leaves: an array or a plain object is always a tree. Taken apart into a list of leaves and a structure, and put together again.
import { describe, isPlainObject, PushforwardError } from './errors.ts';
import { isLeaf, type Leaf, type Tensor } from './tensor.ts';
import type { Value } from './trace/value.ts';

/** The data that stands for T when a traced function is called with data: a {@link Leaf} in place of every Value. */
export type Data<T> = T extends Value ? Leaf : { readonly [K in keyof T]: Data<T[K]> };
/** What a traced function that returns T gives for data: a Tensor in place of every Value. */
export type Result<T> = T extends Value ? Tensor : { [K in keyof T]: Result<T[K]> };

/**
 * The form of a tree without its leaves.
 * @internal
 */
export type Structure =
  | { readonly kind: 'leaf' }
  | { readonly kind: 'array'; readonly items: readonly Structure[] }
  | { readonly kind: 'object'; readonly keys: readonly string[]; readonly items: readonly Structure[] };

/**
 * A tree taken apart.
 * @internal
 */
export interface Flat<L> {
  /** In the order of a walk from left to right. */
  readonly leaves: L[];
  readonly structure: Structure;
}

/**
 * What makes a leaf, and how the sentences speak of it.
 * @internal
 */
export interface LeafKind<L> {
  readonly isLeaf: (value: unknown) => value is L;
  /** For "expected $.w to be …": `a Tensor, a typed array or a number`. */
  readonly words: string;
}

/**
 * The leaves of data: Tensor, Float32Array, Float64Array, Int32Array or number.
 * @internal
 */
export const dataLeaf: LeafKind<Leaf> = {
  isLeaf,
  words: 'a Tensor, a Float32Array, Float64Array or Int32Array, or a number',
};

const maxDepth = 64;
/** A tree may use one object in several places; without a bound, 30 nested pairs of the same object would be a billion leaves. */
const maxNodes = 100_000;
const leaf: Structure = Object.freeze({ kind: 'leaf' });

function step(path: string, key: string | number): string {
  if (typeof key === 'number') return `${path}[${key}]`;
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

/**
 * Takes a tree apart. Arrays and plain objects are trees, in insertion order (the language puts keys that are integers first); empty ones
 * are allowed. Throws INVALID_ARGUMENT, naming the path from `root`, for anything else that is no leaf, for a cycle, for a depth above 64,
 * for more than 100,000 nodes and for symbols as keys.
 * @internal
 */
export function flatten<L>(where: string, tree: unknown, kind: LeafKind<L>, root = '$'): Flat<L> {
  const leaves: L[] = [];
  const open = new Set<unknown>(); // the nodes between the root and here
  let nodes = 0;
  const refuse = (path: string, expected: string, received: string) =>
    new PushforwardError('INVALID_ARGUMENT', where, `${path} to ${expected}`, received);

  const visit = (node: unknown, path: string): Structure => {
    if (kind.isLeaf(node)) {
      leaves.push(node);
      return leaf;
    }
    const isArray = Array.isArray(node);
    if (!isArray && !isPlainObject(node)) {
      throw refuse(path, `be ${kind.words}, or a tree of them (arrays and plain objects)`, describe(node));
    }
    if (open.has(node)) throw refuse(path, 'be part of a tree', 'a cycle: an object inside itself');
    if (open.size === maxDepth) throw refuse(path, `be at most ${maxDepth} levels deep`, 'a deeper tree');
    if (!isArray && Object.getOwnPropertySymbols(node).length > 0) {
      throw refuse(path, 'have only strings as keys', 'a symbol as a key');
    }
    const keys = isArray ? [] : Object.keys(node);
    const length = isArray ? node.length : keys.length;
    nodes += length;
    if (nodes > maxNodes) {
      throw refuse(root, `have at most ${maxNodes} nodes`, 'more (an array is a tree: give numbers as a typed array)');
    }
    open.add(node);
    const items: Structure[] = [];
    for (let i = 0; i < length; i++) {
      const key = isArray ? i : (keys[i] as string);
      items.push(visit((node as Record<string | number, unknown>)[key], step(path, key)));
    }
    open.delete(node);
    return isArray ? { kind: 'array', items } : { kind: 'object', keys, items };
  };
  return { structure: visit(tree, root), leaves };
}

/**
 * The number of leaves of a structure.
 * @internal
 */
export function countLeaves(structure: Structure): number {
  if (structure.kind === 'leaf') return 1;
  return structure.items.reduce((sum, item) => sum + countLeaves(item), 0);
}

/**
 * Puts a tree together from a structure and its leaves, in the order of `flatten`. Objects are plain; no key reaches a prototype.
 * @internal
 */
export function unflatten(structure: Structure, leaves: readonly unknown[]): unknown {
  let next = 0;
  const build = (node: Structure): unknown => {
    if (node.kind === 'leaf') return leaves[next++];
    if (node.kind === 'array') return node.items.map(build);
    // fromEntries defines properties where assignment would call a setter such as __proto__.
    return Object.fromEntries(node.keys.map((key, i) => [key, build(node.items[i] as Structure)]));
  };
  return build(structure);
}

/**
 * A structure as a string, equal for equal structures alone: `{"w":*,"b":[*,*]}`.
 * @internal
 */
export function signature(structure: Structure): string {
  if (structure.kind === 'leaf') return '*';
  if (structure.kind === 'array') return `[${structure.items.map(signature).join(',')}]`;
  const { keys, items } = structure;
  return `{${keys.map((key, i) => `${JSON.stringify(key)}:${signature(items[i] as Structure)}`).join(',')}}`;
}

/**
 * The path of every leaf, in the order of `flatten`: `$.layers[0].w`.
 * @internal
 */
export function leafPaths(structure: Structure, root = '$'): string[] {
  const paths: string[] = [];
  const visit = (node: Structure, path: string): void => {
    if (node.kind === 'leaf') {
      paths.push(path);
      return;
    }
    for (const [i, item] of node.items.entries()) {
      visit(item, step(path, node.kind === 'object' ? (node.keys[i] as string) : i));
    }
  };
  visit(structure, root);
  return paths;
}

function words(structure: Structure): string {
  if (structure.kind === 'leaf') return 'a leaf';
  if (structure.kind === 'array') return `an array of length ${structure.items.length}`;
  if (structure.keys.length === 0) return 'an empty object';
  const shown = structure.keys.slice(0, 5).join(', ');
  return `an object with the keys ${shown}${structure.keys.length > 5 ? ', …' : ''}`;
}

/**
 * The leaves of a tree that must have a given form, in the order of that form's leaves: objects may list their keys in any order. Throws
 * INVALID_ARGUMENT with the first path where the tree parts from it.
 * @param like what has this form, for the sentence: `the primals`
 * @internal
 */
export function flattenLike<L>(
  where: string,
  structure: Structure,
  like: string,
  tree: unknown,
  kind: LeafKind<L>,
  root = '$',
): L[] {
  const leaves: L[] = [];
  const visit = (expected: Structure, node: unknown, path: string): void => {
    const refuse = (form: string) =>
      new PushforwardError('INVALID_ARGUMENT', where, `${path} to be ${form}, as in ${like}`, describe(node));
    if (expected.kind === 'leaf') {
      if (!kind.isLeaf(node)) throw refuse(kind.words);
      leaves.push(node);
    } else if (expected.kind === 'array') {
      if (!Array.isArray(node) || node.length !== expected.items.length) throw refuse(words(expected));
      for (const [i, item] of expected.items.entries()) visit(item, node[i], step(path, i));
    } else {
      const { keys, items } = expected;
      const fits =
        !kind.isLeaf(node) &&
        isPlainObject(node) &&
        Object.keys(node).length === keys.length &&
        keys.every((key) => Object.hasOwn(node, key));
      if (!fits) throw refuse(words(expected));
      for (const [i, key] of keys.entries()) {
        visit(items[i] as Structure, (node as Record<string, unknown>)[key], step(path, key));
      }
    }
  };
  visit(structure, tree, root);
  return leaves;
}
