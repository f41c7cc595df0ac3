// A simulated scanner's look on real voxels: a gain, a bias field and Rician noise, so that an intensity alone no longer tells the tissue.
import { Random } from '../base/random.js';
import { smoothNoise } from './field.js';
import type { Block } from './tissueBlocks.js';

/** Standard deviation of the noise, on the scale of uint8; white matter lies at about 200. */
const noiseSd = 30;

/**
 * A block as a scan shows it; its labels stay. What is 0 (outside the brain) stays 0.
 * @param name of the draw: the same name and number give the same voxels
 */
export function scanned({ image, label, shape }: Block, mm: number, name: string): Block {
  const random = new Random(`scan/${name}`);
  const gain = random.uniform(0.7, 1);
  const bias = smoothNoise(shape, mm, 12 * mm, random.split('bias')).data;
  const most = bias.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  const noise = random.split('noise');
  const seen = image.map((v, i) => {
    const mean = gain * v * Math.exp((0.2 * bias[i]) / most);
    const [a, b] = [mean + noiseSd * noise.normal(), noiseSd * noise.normal()];
    return v > 0 ? Math.max(1, Math.min(255, Math.round(Math.hypot(a, b)))) : 0;
  });
  return { image: seen, label, shape };
}
