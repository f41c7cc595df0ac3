// The room of prediction: what a notebook sees as `predict`.
export { gaussianMap } from './gaussian.js';
export {
  type Forward,
  forwardOf,
  predictLogits,
  predictSlabs,
  type SlabConsumer,
  type SlidingWindowOptions,
} from './slidingWindow.js';
export { padToPatch, tileStarts } from './tiles.js';
