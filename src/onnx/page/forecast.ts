// What segmenting a volume in a page will need of memory, before it begins.
import { VoxelbookError } from '../../base/errors.js';
import { product, rollingAxis } from '../../base/shape.js';
import { configuration } from '../../plan/configuration.js';
import { padToPatch } from '../../predict/tiles.js';
import { caseBytes } from '../../preprocess/memory.js';
import { type CaseProperties, preprocessedShape } from '../../preprocess/preprocessCase.js';
import { type Bundle, modelOf } from '../bundle.js';

/** Of the page and the browser around it besides: scripts, ONNX Runtime, heaps, Chromium's own processes. */
const pageBytes = 690e6;
/** Bytes a voxel in the viewer: the image as it is stored, and two textures of it. */
const viewerBytes = 12;
/** Of labels in it, which come when the network is gone. */
const overlayBytes = 6;

/** Parts of a forecast, bytes. */
export interface Forecast {
  /** The image, its picture and the labels on it, before and after the work: it is closed while that lasts. */
  viewer: number;
  /** Reading, cropping, normalising, resampling: before the network runs. */
  preprocessing: number;
  /** Weights, one pass, tiles and the preprocessed image: while it runs. */
  network: number;
  /** Of the network alone: what WebAssembly may take. */
  webAssembly: number;
  total: number;
}

/**
 * @param image `[depth, height, width]` and its voxel size as stored
 */
export function forecast(bundle: Bundle, image: { shape: readonly number[]; spacingMm: readonly number[] }): Forecast {
  const { plan, configuration: name } = modelOf(bundle, []);
  const order = plan.transpose_forward;
  const whole = { spacing: [...image.spacingMm], shape_after_cropping_and_before_resampling: order.map((a) => image.shape[a]) };
  const after = preprocessedShape(whole as CaseProperties, plan, name);
  const patchSize = configuration(plan, name).patch_size;
  const patch = patchSize.length === 2 ? [1, ...patchSize] : patchSize;
  const channels = bundle.channels.length;
  const { padded } = padToPatch(after, patchSize);
  const rolling = patchSize.length === 2 ? product(padded.slice(1)) : rollingAxis(padded, patch).voxels;
  const [before, tile] = [product(image.shape), product(patch)];
  const weights = bundle.graphs.reduce((sum, { bytes, data }) => sum + bytes + (data?.bytes ?? 0), 0);
  const pass = Math.max(...bundle.graphs.map(({ passBytes = 0 }) => passBytes));
  // ONNX Runtime reads a file before it makes tensors of it, works on copies of single layers, and its memory has gaps.
  const webAssembly = 2 * weights + 1.35 * pass + 150e6;
  const tiles = 4 * rolling * (bundle.heads + 1) + 4 * tile * (2 * channels + 3 * bundle.heads);
  const viewer = before * (viewerBytes + overlayBytes);
  const preprocessing = caseBytes(before, product(after), channels);
  const network = weights + webAssembly + tiles + 4 * product(after) * channels + before;
  return {
    viewer,
    preprocessing,
    network,
    webAssembly,
    total: pageBytes + Math.max(viewer, preprocessing, network),
  };
}

export const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

/** @throws VoxelbookError where a budget does not hold what is forecast */
export function refuseBeyond(budget: number, { total, viewer, preprocessing, network }: Forecast): void {
  if (total <= budget) return;
  throw new VoxelbookError('this volume does not fit into the memory budget', {
    code: 'page-memory',
    path: 'memory budget',
    given: `${gigabytes(budget)}, and a volume that needs ${gigabytes(total)} (viewer ${gigabytes(viewer)}, preprocessing ${gigabytes(preprocessing)}, network ${gigabytes(network)})`,
    expected: `at least ${gigabytes(total)}`,
    fix: 'Raise the budget if this machine has the memory, crop the volume, or predict it with voxelbook.',
  });
}
