// The room of networks: a specification is data, `build` makes a network of it.
export { build, type Ends, type Model, network, networkNames } from './build.js';
export { type Description, describe, type Stage } from './describe.js';
export * as layers from './layers/layers.js';
export {
  type Context,
  Declaration,
  initialise,
  memoryAxes,
  type Network,
  type ParamInfo,
  type Params,
  parameterCount,
} from './network.js';
export type { ModelSpec } from './spec.js';
