// The trainer: one store, its plans for training, evaluation and prediction, and the order in which calls reach them.
// It is long because every public method stands here with what it promises; what they do is in the files beside it.

import {
  assertSource,
  type BatchForm,
  type CheckedBatch,
  checkBatch,
  checkLeaf,
  type DataSource,
} from '../data/batches.ts';
import type { Batch } from '../data/dataset.ts';
import {
  assertFunction,
  assertInteger,
  assertSeed,
  assertSignal,
  describe,
  isPlainObject,
  PushforwardError,
  readOptions,
  type Seed,
} from '../errors.ts';
import { type GradientEstimator, notFinite, toGradientEstimator } from '../estimators/gradient.ts';
import type { NativeArray, NativePlan } from '../native.ts';
import type { Model } from '../nn/index.ts';
import { type Optimizer, toOptimizer } from '../optimizers.ts';
import {
  aborted,
  type DeviceName,
  Engine,
  type RunOptions,
  runOptionNames,
  runPlan,
  type Target,
  toTarget,
  translate,
} from '../plan/engine.ts';
import { ratesFor } from '../schedules.ts';
import { assertShape, type Leaf, maxRank, Tensor, toTensor } from '../tensor.ts';
import { encodeProgram } from '../trace/encode.ts';
import type { Graph } from '../trace/graph.ts';
import { traceContext } from '../transforms/execute.ts';
import type { Loss, StepResult, StepsRequest, TargetForm, TrainerCore } from './core.ts';
import { type Diagnosis, diagnosisOf } from './diagnose.ts';
import { type Evaluation, evaluateSource } from './evaluation.ts';
import { type FitEvent, type FitOptions, fitSource, readFitOptions } from './fit.ts';
import { diagnosisProgram, evaluationProgram, modelProgram, trainingProgram } from './programs.ts';
import {
  type DeclaredParameter,
  initialisationProgram,
  type KnownEstimator,
  type KnownOptimizer,
} from './training_program.ts';

/** Options of {@link Trainer}. */
export interface TrainerOptions extends Omit<RunOptions, 'signal'> {
  /** A layer of `nn`, or any function of one Value that calls `parameter`. */
  model: Model;
  /** The shape of one example, without the batch axis. */
  inputShape: readonly number[];
  /** Default: 'float32' */
  inputType?: 'float32' | 'int32';
  /** One number per example. */
  loss: Loss;
  /** Made by `forwardGradient`, `backprop` or `spsa`. */
  gradient: GradientEstimator;
  /** Made by `sgd`, `adam` or `adamW`. */
  optimizer: Optimizer;
  /** Of the initial values, the tangents and the order of examples. Default: 0 */
  seed?: Seed;
}

const optionNames = [
  ...runOptionNames.filter((name) => name !== 'signal'),
  'model',
  'inputShape',
  'inputType',
  'loss',
  'gradient',
  'optimizer',
  'seed',
] as const;

/**
 * Trains a model. The constructor traces it, checks shapes, finds the device and throws at once; memory is allocated by the first call.
 * `step`, `fit` and `setParameters` reject with BUSY while another of them runs; `predict`, `evaluate` and `parameters` are served in
 * order, between two steps. Every call rejects with DISPOSED after {@link Trainer.dispose}.
 */
export class Trainer implements Disposable {
  readonly #options: Required<Pick<TrainerOptions, 'model' | 'loss' | 'inputShape' | 'inputType'>>;
  readonly #gradient: KnownEstimator;
  readonly #optimizer: KnownOptimizer;
  readonly #target: Target;
  readonly #key: readonly [low: number, high: number];
  readonly #declared: readonly DeclaredParameter[];
  readonly #states: readonly DeclaredParameter[];
  readonly #plans = new Map<string, NativePlan>();
  /** Of `predict`, by batch size. */
  readonly #outputShapes = new Map<number, readonly number[]>();
  readonly #running = new Set<NativePlan>();
  #engine: Engine | undefined;
  #initialised: Promise<void> = Promise.resolve();
  #disposed = false;
  #busy: string | undefined;
  #steps = 0;
  #epochs = 0;

  /** @throws PushforwardError INVALID_ARGUMENT, SHAPE_MISMATCH, NO_DEVICE: whatever is wrong with the options or in the model */
  constructor(options: TrainerOptions) {
    const where = 'Trainer';
    const read = readOptions<TrainerOptions>(where, options, optionNames);
    const { model, inputShape, inputType = 'float32', loss, gradient, optimizer, seed = 0, ...run } = read;
    assertFunction(where, 'model', model);
    assertFunction(where, 'loss', loss);
    if (inputType !== 'float32' && inputType !== 'int32') {
      throw new PushforwardError(
        'INVALID_ARGUMENT',
        where,
        "inputType to be 'float32' or 'int32'",
        describe(inputType),
      );
    }
    const shape = assertShape(where, 'inputShape', inputShape, 1);
    if (shape.length === maxRank) {
      const expected = `inputShape of at most ${maxRank - 1} sizes (the batch is one more axis)`;
      throw new PushforwardError('INVALID_ARGUMENT', where, expected, describe(inputShape));
    }
    this.#options = { model: model as Model, loss: loss as unknown as Loss, inputShape: shape, inputType };
    this.#gradient = toGradientEstimator(where, 'gradient', gradient) as KnownEstimator;
    this.#optimizer = toOptimizer(where, 'optimizer', optimizer);
    this.#key = assertSeed(where, 'seed', seed);
    this.#target = toTarget(where, run as RunOptions);
    const traced = modelProgram(this.#options, traceContext(this.#target), 1);
    this.#declared = traced.declared;
    this.#states = traced.states;
    if (this.#declared.length === 0) {
      throw new PushforwardError('INVALID_ARGUMENT', where, 'a model with at least one parameter', 'one without');
    }
    new Engine(this.#target).session.dispose(); // NO_DEVICE now rather than in the first call
  }

  /** The device that was chosen. */
  get device(): DeviceName {
    return this.#target.device;
  }

  /** Training steps taken so far. */
  get steps(): number {
    return this.#steps;
  }

  /** One training step on one batch. */
  async step(batch: Batch, options?: { signal?: AbortSignal }): Promise<StepResult> {
    const where = 'Trainer.step';
    const { signal } = readOptions<{ signal?: AbortSignal }>(where, options, ['signal']);
    assertSignal(where, signal);
    return this.#exclusive(where, async (core) => {
      const checked = core.checkedBatch(where, batch);
      const plan = core.trainingPlan(checked.size, targetForm(checked));
      translate(() => plan.stage([checked.inputs.data, checked.targets.data] as NativeArray[]));
      const request = { steps: 1, inputs: 'staged', signal } as const;
      const [result] = await core.enqueue(where, () => core.takeSteps(where, plan, request));
      return result as StepResult;
    });
  }

  /**
   * Trains for whole epochs. A Dataset is made resident, shuffled anew each epoch by the seed, and gathered natively; a stream is
   * taken batch by batch. After an abort it resolves with `aborted: true` and the parameters of the last whole step.
   */
  async fit(
    data: DataSource,
    options: FitOptions,
  ): Promise<{
    /** Steps taken by this call. */
    steps: number;
    /** The last event of each finished epoch. */
    epochs: FitEvent[];
    /** Whether the signal ended it. */
    aborted: boolean;
  }> {
    assertSource('Trainer.fit', 'data', data);
    return this.#exclusive('Trainer.fit', (core) => fitSource(core, 'Trainer.fit', data, options));
  }

  /** {@link Trainer.fit} as a stream of its progress events; leaving the loop ends the training after the step in flight. */
  async *events(data: DataSource, options: FitOptions): AsyncGenerator<FitEvent, void, undefined> {
    const stop = new AbortController();
    const { signal, onProgress, ...rest } = readFitOptions('Trainer.events', options);
    const abort = (): void => stop.abort();
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted) stop.abort();
    const waiting: FitEvent[] = [];
    let wake = (): void => undefined;
    let ended = false;
    const push = (event: FitEvent): void => {
      waiting.push(event);
      onProgress?.(event);
      wake();
    };
    const done = this.fit(data, { ...rest, signal: stop.signal, onProgress: push }).finally(() => {
      ended = true;
      wake();
    });
    done.catch(() => undefined); // awaited below; until then a rejection is not unhandled
    try {
      while (true) {
        while (waiting.length > 0) yield waiting.shift() as FitEvent;
        if (ended) break;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      await done;
    } finally {
      stop.abort();
      signal?.removeEventListener('abort', abort);
      await done.catch(() => undefined); // so that whoever leaves the loop does not find the trainer busy
    }
  }

  /** The mean loss over a source, and `accuracy` where the targets are class labels. */
  async evaluate(data: DataSource, options?: { batchSize?: number; signal?: AbortSignal }): Promise<Evaluation> {
    const where = 'Trainer.evaluate';
    assertSource(where, 'data', data);
    const { batchSize = 256, signal } = readOptions<{ batchSize?: number; signal?: AbortSignal }>(where, options, [
      'batchSize',
      'signal',
    ]);
    assertInteger(where, 'batchSize', batchSize, 1, 2 ** 31 - 1);
    assertSignal(where, signal);
    return evaluateSource(this.#core(where), where, data, batchSize, signal);
  }

  /**
   * Draws gradient estimates of one batch, at the parameters as they stand, and compares them with its exact gradient by reverse mode:
   * direction, variance, and what the estimator's formula predicts, by parameter; of a model in blocks, the exact gradient of the sum of its losses.
   * Nothing is trained. It needs a tape, and gradients of
   * both kinds as buffers, which are freed at its end. Its random numbers are those of steps from 2³¹ on.
   * @param options `samples`: estimates to draw, an integer from 1 to 100,000. Default: 64
   * @throws PushforwardError INVALID_ARGUMENT, SHAPE_MISMATCH, DTYPE_MISMATCH, ABORTED, DISPOSED
   */
  async diagnose(batch: Batch, options?: { samples?: number; signal?: AbortSignal }): Promise<Diagnosis> {
    const where = 'Trainer.diagnose';
    const read = readOptions<{ samples?: number; signal?: AbortSignal }>(where, options, ['samples', 'signal']);
    const { samples = 64, signal } = read;
    assertInteger(where, 'samples', samples, 1, 100_000);
    assertSignal(where, signal);
    const core = this.#core(where);
    const checked = core.checkedBatch(where, batch);
    const context = traceContext(this.#target, true);
    const form = targetForm(checked);
    const { graph, names, losses } = diagnosisProgram(this.#options, context, checked.size, form, this.#gradient);
    const plan = translate(() => core.engine.session.compile(encodeProgram(graph), this.#target.fuse));
    try {
      translate(() => plan.stage([checked.inputs.data, checked.targets.data] as NativeArray[]));
      const [keyLow, keyHigh] = this.#key;
      const request = { inputs: 'staged', keyLow, keyHigh, firstStep: 2 ** 31, steps: samples } as const;
      const { outputs } = await core.enqueue(where, () =>
        this.#run(where, plan, () => runPlan(where, plan, request, signal)),
      );
      const declared = names.map((name) => this.#declared.find((each) => each.name === name) as DeclaredParameter);
      return diagnosisOf(this.#gradient, declared, outputs, losses);
    } finally {
      plan.dispose();
    }
  }

  /** The model's output for inputs [B, ...inputShape]. */
  async predict(inputs: Leaf, options?: { signal?: AbortSignal }): Promise<Tensor> {
    const where = 'Trainer.predict';
    const { signal } = readOptions<{ signal?: AbortSignal }>(where, options, ['signal']);
    assertSignal(where, signal);
    const core = this.#core(where);
    const { inputShape, inputType } = this.#options;
    const x = checkLeaf(where, 'inputs', inputs, inputShape, inputType, this.#target.device === 'reference');
    const size = x.shape[0] as number;
    const plan = this.#plan(`predict ${size}`, () => {
      const { graph, output } = modelProgram(this.#options, traceContext(this.#target), size);
      this.#outputShapes.set(size, output.shape);
      return graph;
    });
    const data = x.data.slice() as NativeArray;
    const request = { inputs: [data], keyLow: this.#key[0], keyHigh: this.#key[1], firstStep: 0, steps: 1 };
    const result = await core.enqueue(where, () => this.#run(where, plan, () => runPlan(where, plan, request, signal)));
    return Tensor.of(result.outputs[0] as NativeArray, this.#outputShapes.get(size) as readonly number[]);
  }

  /** Copies of all parameters by name, in order of declaration. */
  async parameters(): Promise<Record<string, Tensor>> {
    const core = this.#core('Trainer.parameters');
    return core.enqueue('Trainer.parameters', async () =>
      Object.fromEntries(
        this.#declared.map(({ name, shape }) => [
          name,
          Tensor.of(
            translate(() => core.engine.session.read(name)),
            shape,
          ),
        ]),
      ),
    );
  }

  /** Replaces the named parameters; every name and shape is checked before one is written. */
  async setParameters(values: Readonly<Record<string, Leaf>>): Promise<void> {
    const where = 'Trainer.setParameters';
    return this.#exclusive(where, async (core) => {
      const writes = this.#checkedParameters(where, values);
      await core.enqueue(where, async () => {
        for (const [name, data] of writes) translate(() => core.engine.session.write(name, data));
      });
    });
  }

  #checkedParameters(where: string, values: unknown): [string, NativeArray][] {
    if (!isPlainObject(values)) {
      throw new PushforwardError('INVALID_ARGUMENT', where, 'an object of parameters by name', describe(values));
    }
    const known = new Map(this.#declared.map(({ name, shape }) => [name, shape]));
    const read = readOptions<Record<string, Leaf>>(where, values, [...known.keys()]);
    return Object.entries(read).map(([name, leaf]) => {
      const shape = known.get(name) as readonly number[];
      const found = toTensor(where, `'${name}'`, leaf as Leaf);
      if (found.shape.length !== shape.length || found.shape.some((size, axis) => size !== shape[axis])) {
        throw new PushforwardError(
          'SHAPE_MISMATCH',
          where,
          `'${name}' of shape [${shape.join(', ')}]`,
          describe(found),
        );
      }
      if (found.dtype === 'int32' || (found.dtype === 'float64' && this.#target.device !== 'reference')) {
        throw new PushforwardError('DTYPE_MISMATCH', where, `'${name}' of float32`, describe(found));
      }
      return [name, found.data.slice() as NativeArray];
    });
  }

  /** Bytes by region; zeros before the first call. */
  memory(): Readonly<Record<'data' | 'parameters' | 'state' | 'tape' | 'workspace' | 'total', number>> {
    if (this.#disposed) throw disposed('Trainer.memory');
    const bytes = this.#engine?.session.memory() ?? { data: 0, parameters: 0, state: 0, tape: 0, workspace: 0 };
    return Object.freeze({ ...bytes, total: Object.values(bytes).reduce((sum, part) => sum + part, 0) });
  }

  /** The compiled plans: their steps with operations, bytes, random words and places. */
  describe(): string {
    if (this.#disposed) throw disposed('Trainer.describe');
    if (this.#plans.size === 0) return 'no plan yet: it is compiled by the first step\n';
    return [...this.#plans].map(([name, plan]) => `${name}\n${plan.describe()}`).join('\n');
  }

  /** Frees everything. A call in flight rejects with DISPOSED; its memory is freed when it has stopped. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const plan of this.#running) plan.cancel();
    this.#plans.clear();
    this.#engine?.session.dispose();
    this.#engine = undefined;
  }

  /** {@link Trainer.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  async #exclusive<T>(where: string, task: (core: TrainerCore) => Promise<T>): Promise<T> {
    const core = this.#core(where);
    if (this.#busy !== undefined)
      throw new PushforwardError('BUSY', where, 'no other training call in flight', this.#busy);
    this.#busy = `a call while ${where.replace('Trainer.', '')} runs`;
    try {
      return await task(core);
    } finally {
      this.#busy = undefined;
    }
  }

  #open(): Engine {
    if (this.#engine !== undefined) return this.#engine;
    const engine = new Engine(this.#target);
    const program = initialisationProgram(traceContext(this.#target), this.#declared, this.#states);
    const plan = translate(() => engine.session.compile(encodeProgram(program), this.#target.fuse));
    this.#engine = engine;
    const request = { inputs: [], keyLow: this.#key[0], keyHigh: this.#key[1], firstStep: 0, steps: 1 };
    this.#initialised = engine.enqueue(async () => {
      await runPlan('Trainer', plan, request, undefined).finally(() => plan.dispose());
    });
    this.#initialised.catch(() => undefined); // every call awaits it, and rejects when it did
    return engine;
  }

  #plan(name: string, program: () => Graph): NativePlan {
    let plan = this.#plans.get(name);
    if (plan === undefined) {
      const bytes = encodeProgram(program());
      const { session } = this.#open();
      plan = translate(() => session.compile(bytes, this.#target.fuse));
      this.#plans.set(name, plan);
    }
    return plan;
  }

  async #run<T>(where: string, plan: NativePlan, run: () => Promise<T>): Promise<T> {
    this.#running.add(plan);
    try {
      return await run();
    } catch (error) {
      if (this.#disposed) throw disposed(where);
      throw error;
    } finally {
      this.#running.delete(plan);
    }
  }

  #core(where: string): TrainerCore {
    if (this.#disposed) throw disposed(where);
    const engine = this.#open();
    const trainer = this;
    const context = traceContext(this.#target, true);
    return {
      target: this.#target,
      engine,
      key: this.#key,
      inputShape: this.#options.inputShape,
      inputType: this.#options.inputType,
      batchForm: this.#batchForm(),
      get steps() {
        return trainer.#steps;
      },
      mergeEvery: this.#optimizer.kind === 'sgd' ? this.#optimizer.mergeEvery : 1,
      nextEpoch: () => this.#epochs++,
      checkedBatch: (name, batch, what) => this.#checkedBatch(name, batch, what),
      trainingPlan: (size, form) =>
        this.#plan(`train ${planName(size, form)}`, () =>
          trainingProgram(this.#options, context, size, form, this.#gradient, this.#optimizer),
        ),
      evaluationPlan: (size, form) =>
        this.#plan(`evaluate ${planName(size, form)}`, () =>
          evaluationProgram(this.#options, traceContext(this.#target), size, form),
        ),
      takeSteps: (name, plan, request) => this.#takeSteps(name, plan, request),
      enqueue: (name, task) =>
        engine.enqueue(async () => {
          if (this.#disposed) throw disposed(name);
          await this.#initialised;
          const result = await task();
          if (this.#disposed) throw disposed(name);
          return result;
        }),
    };
  }

  #batchForm(): BatchForm {
    const { inputShape, inputType } = this.#options;
    return { inputShape, inputType, double: this.#target.device === 'reference' };
  }

  #checkedBatch(where: string, batch: unknown, name?: string): CheckedBatch {
    return checkBatch(where, batch, this.#batchForm(), name);
  }

  async #takeSteps(where: string, plan: NativePlan, request: StepsRequest): Promise<StepResult[]> {
    const first = this.#steps;
    const { signal, ...rest } = request;
    if (signal?.aborted) throw aborted(where);
    const result = await this.#run(where, plan, () =>
      runPlan(
        where,
        plan,
        {
          ...rest,
          keyLow: this.#key[0],
          keyHigh: this.#key[1],
          firstStep: first,
          rates: ratesFor(this.#optimizer.learningRate, first, request.steps),
        },
        undefined,
      ),
    );
    if (this.#disposed) throw disposed(where);
    this.#steps += result.steps;
    if (result.numericStep >= 0) throw notFinite(where, this.#gradient, first + result.numericStep);
    const [losses, c] = result.outputs as [NativeArray, NativeArray | undefined];
    const directions = c === undefined ? 0 : c.length / result.steps;
    const count = losses.length / result.steps;
    return Array.from({ length: result.steps }, (_, i) => ({
      step: first + i,
      loss: losses[i * count] as number,
      ...(count === 1 ? {} : { localLosses: [...losses.subarray(i * count + 1, (i + 1) * count)] }),
      ...(c === undefined ? {} : { directionalDerivatives: [...c.subarray(i * directions, (i + 1) * directions)] }),
    }));
  }
}

/** The form of the targets of a checked batch. */
function targetForm(batch: CheckedBatch): TargetForm {
  return {
    targetShape: batch.targets.shape.slice(1),
    targetType: batch.targets.dtype === 'int32' ? 'int32' : 'float32',
  };
}

function planName(size: number, { targetShape, targetType }: TargetForm): string {
  return `batch ${size}, ${targetType} targets [${targetShape.join(', ')}]`;
}

function disposed(where: string): PushforwardError {
  return new PushforwardError('DISPOSED', where, 'a live trainer', 'a disposed one');
}
