// The namespace `nn`.
import * as attention from './attention.ts';
import * as layers from './layers.ts';
import * as local from './local.ts';
import * as recurrent from './recurrent.ts';

export type { TransformerBlockOptions } from './attention.ts';
export type {
  BatchNormOptions,
  Conv2dLayerOptions,
  DenseLayerOptions,
  EmbeddingLayerOptions,
  Model,
} from './layers.ts';
export type { BlockOptions, LocalHead, LocalHeadOptions } from './local.ts';
export { type Initializer, parameter } from './parameter.ts';
export type { RecurrentOptions } from './recurrent.ts';

/**
 * Layers and the ways to put them together.
 * @namespace
 */
export const nn: typeof layers & typeof recurrent & typeof attention & typeof local = Object.freeze({
  ...layers,
  ...recurrent,
  ...attention,
  ...local,
});
