// The shape of the native addon: what src/ may call. Every error it throws or rejects with has a PushforwardError `code`.

/** Typed arrays that cross the boundary; bytes only in resident data sets. */
export type NativeArray = Float32Array | Float64Array | Int32Array;

/** Precisions that there are kernels for. */
export type Precision = 'f32' | 'bf16' | 'f64';

/** One call of `NativePlan.run`. */
export interface NativeRunRequest {
  /** One per input of the program, in order; `null` where the resident set feeds it. 'staged': those of the last `stage`. */
  readonly inputs: readonly (NativeArray | null)[] | 'staged';
  readonly resident?: NativeResident;
  /** Examples of the resident set, steps × batch. */
  readonly indices?: Int32Array;
  readonly keyLow: number;
  readonly keyHigh: number;
  readonly firstStep: number;
  readonly steps: number;
  /** Learning rate of each step. */
  readonly rates?: Float64Array;
  readonly recordEvery?: number;
  readonly recordNames?: readonly string[];
}

/** What a run gives back. */
export interface NativeRunResult {
  /** Steps taken; fewer than asked for after `cancel` or a step that was not finite. */
  readonly steps: number;
  /** Index of the step whose loss or directional derivative was not finite, or -1. */
  readonly numericStep: number;
  readonly milliseconds: number;
  /** Of each output, steps × its size. */
  readonly outputs: readonly NativeArray[];
  readonly recorded: readonly NativeArray[];
}

/** A compiled program. */
export interface NativePlan {
  run(request: NativeRunRequest): Promise<NativeRunResult>;
  /** Copies the inputs of a later run now, so that the caller may change its arrays. */
  stage(inputs: readonly NativeArray[]): void;
  /** Ends the run in flight after the step in flight. */
  cancel(): void;
  describe(): string;
  /** Frees it; a run in flight ends first. */
  dispose(): void;
  readonly workspaceBytes: number;
  readonly tapeBytes: number;
}

/** A data set in native memory. */
export interface NativeResident {
  readonly count: number;
}

/** A column of a resident set: `size` elements per example, read as value · scale. */
export interface NativeColumn {
  readonly data: Uint8Array | Float32Array | Int32Array;
  readonly size: number;
  readonly scale: number;
}

/** Bytes by region. */
export interface NativeMemory {
  readonly data: number;
  readonly parameters: number;
  readonly state: number;
  readonly tape: number;
  readonly workspace: number;
}

/** A device, a store and a workspace. */
export interface NativeSession {
  readonly device: string;
  readonly isa: string;
  readonly threads: number;
  compile(program: Uint8Array, fuse: boolean): NativePlan;
  /**
   * A program whose first `primals` inputs are x and the rest ȳ, and whose first `values` outputs are y and the rest x̄, as two plans:
   * x ↦ y, residuals, and residuals, ȳ ↦ x̄.
   */
  compileSplit(
    program: Uint8Array,
    fuse: boolean,
    primals: number,
    values: number,
  ): [forward: NativePlan, backward: NativePlan];
  read(name: string): NativeArray;
  write(name: string, data: NativeArray): void;
  resident(columns: readonly NativeColumn[], count: number): NativeResident;
  memory(): NativeMemory;
  dispose(): void;
}

/** A device of this build. */
export interface NativeDevice {
  readonly name: string;
  readonly description: string;
  readonly available: boolean;
  readonly reason?: string;
  readonly memoryBytes?: number;
  readonly isa?: string;
  readonly computeCapability?: string;
  /** Of a GPU: whether there is a driver, though perhaps of no use. */
  readonly driver?: boolean;
}

/** What one thread can do at most. */
export interface NativeCeiling {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  /** Why it was not measured; else empty. */
  readonly absence: string;
}

/** The addon. */
export interface NativeBinding {
  readonly Session: new (device: string, isa: string, threads: number, precision?: Precision) => NativeSession;
  devices(): NativeDevice[];
  /** Opens 'cuda' or 'cuda:n' for as long as the environment lives, and gives its name 'cuda:n'. Throws NO_DEVICE with the reason. */
  open(device: string): `cuda:${number}`;
  listing(): { name: string; set: string }[];
  /** Sets of this machine that have kernels of their own for products at a precision; default: f32. */
  instructionSets(precision?: 'f32' | 'bf16'): string[];
  /** For benchmarks, the best of a new measurement and those before: seconds, on the calling thread, up to 256 MB. '' is the best instruction set. */
  ceilings(isa: string): NativeCeiling[];
  /** The types of the values that the last node of a program defines: the shape rules have one home, the native ops. */
  infer(program: Uint8Array): { shape: number[]; dtype: 'real' | 'int32' }[];
  /** The float32 tangent of one parameter: DESIGN's random numbers, stream 0 (5 and 6 for lowRank). */
  materialise(
    kind: string,
    rank: number,
    shape: readonly number[],
    parameter: number,
    keyLow: number,
    keyHigh: number,
    step: number,
    direction: number,
  ): Float32Array;
  /** A permutation of 0 … n − 1: Fisher–Yates on stream 3. */
  shuffle(n: number, keyLow: number, keyHigh: number, epoch: number): Int32Array;
}
