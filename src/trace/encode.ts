// Programs as bytes, in the layout that native/core/program.h describes.
import type { NativeArray } from '../native.ts';

/** What an attribute may be: a number or flag, a text, a list of integers, or the data of a constant. */
export type Attribute = number | boolean | string | readonly number[] | NativeArray;
/** Attributes by name; `undefined` is left out. */
export type Attributes = Readonly<Record<string, Attribute | undefined>>;

/** A node before its inputs are known to be any good: the native side checks. */
export interface ProgramNode {
  readonly op: string;
  /** Values by number, -1 for an absent input. */
  readonly inputs: readonly number[];
  readonly attributes: Attributes;
  readonly bodies: readonly Program[];
}

/** A list of nodes, and the numbers of the values it gives. */
export interface Program {
  readonly nodes: readonly ProgramNode[];
  readonly outputs: readonly number[];
}

const magic = 0x44574650; // "PFWD"
const version = 1;

class Writer {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  #room(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
  u8(value: number): void {
    const at = this.#room(1);
    this.#view.setUint8(at, value);
  }
  u32(value: number): void {
    const at = this.#room(4);
    this.#view.setUint32(at, value, true);
  }
  i64(value: number): void {
    const at = this.#room(8);
    this.#view.setBigInt64(at, BigInt(value), true);
  }
  f64(value: number): void {
    const at = this.#room(8);
    this.#view.setFloat64(at, value, true);
  }
  bytes(data: Uint8Array): void {
    const at = this.#room(data.length);
    this.#bytes.set(data, at);
  }
  text(value: string): void {
    const data = new TextEncoder().encode(value);
    this.u32(data.length);
    this.bytes(data);
  }
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

function writeAttribute(writer: Writer, value: Attribute): void {
  if (typeof value === 'number' || typeof value === 'boolean') {
    writer.u8(0);
    writer.f64(Number(value));
  } else if (typeof value === 'string') {
    writer.u8(1);
    writer.text(value);
  } else if (ArrayBuffer.isView(value)) {
    writer.u8(value instanceof Float64Array ? 3 : value instanceof Float32Array ? 4 : 5);
    writer.u32(value.length);
    writer.bytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  } else {
    writer.u8(2);
    writer.u32(value.length);
    for (const item of value) writer.i64(item);
  }
}

function writeNumbers(writer: Writer, values: readonly number[]): void {
  writer.u32(values.length);
  for (const value of values) writer.u32(value < 0 ? 0xffffffff : value);
}

function writeBody(writer: Writer, program: Program): void {
  writer.u32(program.nodes.length);
  for (const node of program.nodes) {
    writer.text(node.op);
    writeNumbers(writer, node.inputs);
    const attributes = Object.entries(node.attributes).filter(([, value]) => value !== undefined);
    writer.u32(attributes.length);
    for (const [name, value] of attributes) {
      writer.text(name);
      writeAttribute(writer, value as Attribute);
    }
    writer.u32(node.bodies.length);
    for (const body of node.bodies) writeBody(writer, body);
  }
  writeNumbers(writer, program.outputs);
}

/** A program as the bytes that `NativeSession.compile` and `native.infer` take. */
export function encodeProgram(program: Program): Uint8Array {
  const writer = new Writer();
  writer.u32(magic);
  writer.u32(version);
  writeBody(writer, program);
  return writer.finish();
}
