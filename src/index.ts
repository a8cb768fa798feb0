/**
 * Trains neural networks natively, by forward gradients (one forward pass, no tape) and by backprop on the same kernels.
 *
 * @packageDocumentation
 */
export type {
  Batch,
  BatchesOptions,
  DataReaders,
  DataSource,
  DatasetOptions,
  IdxArray,
  IdxData,
  Mnist,
  MnistOptions,
  TensorBatch,
} from './data/index.ts';
export { Dataset, data } from './data/index.ts';
export { type Device, devices } from './devices.ts';
export { type ErrorCode, PushforwardError, type Seed } from './errors.ts';
export {
  backprop,
  type ForwardGradientOptions,
  forwardGradient,
  type GradientEstimator,
  type SpsaOptions,
  spsa,
} from './estimators/gradient.ts';
export {
  type BatchNormOptions,
  type BlockOptions,
  type Conv2dLayerOptions,
  type DenseLayerOptions,
  type EmbeddingLayerOptions,
  type Initializer,
  type LocalHead,
  type LocalHeadOptions,
  type Model,
  nn,
  parameter,
  type RecurrentOptions,
  type TransformerBlockOptions,
} from './nn/index.ts';
export {
  type Activation,
  type AttentionOptions,
  type Conv2dOptions,
  type CumsumOptions,
  type DenseOptions,
  type MatmulOptions,
  type NormOptions,
  type Ops,
  ops,
  type Pair,
  type Pool2dOptions,
  type RandomOptions,
  type ReduceOptions,
  type ValueMethods,
} from './ops/index.ts';
export {
  type AdamOptions,
  type AdamWOptions,
  adam,
  adamW,
  type Optimizer,
  type OptimizerOptions,
  type SgdOptions,
  sgd,
} from './optimizers.ts';
export type { DeviceName, RunOptions } from './plan/engine.ts';
export { gaussian, lowRank, type MaterialiseOptions, rademacher, type Sampler, sphere } from './samplers.ts';
export { constant, cosine, exponentialDecay, piecewise, type Schedule, warmup } from './schedules.ts';
export { type DType, type Leaf, type NestedNumbers, Tensor, type TypedArray, tensor } from './tensor.ts';
export { type Operand, Value } from './trace/value.ts';
export type { Loss, StepResult } from './trainer/core.ts';
export type { Diagnosis, GradientDiagnosis } from './trainer/diagnose.ts';
export type { Evaluation } from './trainer/evaluation.ts';
export type { FitEvent, FitOptions } from './trainer/fit.ts';
export { Trainer, type TrainerOptions } from './trainer/trainer.ts';
export { checkpoint } from './transforms/checkpoint.ts';
export { type ForwardGradientResult, forwardGrad } from './transforms/forward_gradient.ts';
export { type MinimizeOptions, type Minimum, minimize } from './transforms/minimize.ts';
export { type ScanOptions, scan } from './transforms/scan.ts';
export {
  type Args,
  evaluate,
  type GradOptions,
  grad,
  hvp,
  jacfwd,
  jacrev,
  jvp,
  type Transformed,
  valueAndGrad,
} from './transforms/transforms.ts';
export { type Pullback, vjp } from './transforms/vjp.ts';
export type { Data, Result } from './tree.ts';
