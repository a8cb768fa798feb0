// The namespace `nn`.
import * as layers from './layers.ts';

export type {
  BatchNormOptions,
  Conv2dLayerOptions,
  DenseLayerOptions,
  EmbeddingLayerOptions,
  Model,
} from './layers.ts';
export { type Initializer, parameter } from './parameter.ts';

/**
 * Layers and the ways to put them together.
 * @namespace
 */
export const nn: typeof layers = Object.freeze({ ...layers });
