// The room of networks: a specification is data, `build` makes a network of it.
export { build, type Model, network } from './build.js';
export { type Definition, define, type Ends, type Spec } from './define.js';
export { type Description, describe, type Stage } from './describe.js';
export * as layers from './layers/layers.js';
export {
  type Context,
  Declaration,
  initialise,
  type LayerHook,
  memoryAxes,
  type Network,
  type ParamInfo,
  type Params,
  parameterCount,
  scope,
} from './network.js';
export { type ModelSpec, type Networks, networkNames } from './registry.js';
