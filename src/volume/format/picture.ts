// A picture as a volume.
import { identityDirection, type Volume, type VoxelArray } from '../volume.js';

/** Pixels `[height, width, channel]` as a volume of depth 1 with the spacing of nnU-Net's NaturalImage2DIO, `[999, 1, 1]` mm. */
export const pictureVolume = <A extends VoxelArray>(data: A, height: number, width: number, channels: number): Volume<A> => ({
  data,
  shape: [1, height, width],
  channels,
  spacingMm: [999, 1, 1],
  originMm: [0, 0, 0],
  direction: [...identityDirection],
});
