// Simulated 2-D pictures: cells under a microscope and instruments in an endoscope. Every pixel and every label is made here.
import { Random } from '../base/random.js';
import { blur, type Field, smoothNoise } from './field.js';

export interface Picture {
  /** RGB, `[height, width, 3]`. */
  rgb: Uint8Array;
  label: Uint8Array;
  /** Instance numbers (cells), 0 = background. */
  instances?: Uint16Array;
  size: number;
}

/** `fluorescent`: bright on dark. `stained`: dark on bright, as in a brightfield microscope. */
export type CellStyle = 'fluorescent' | 'stained';

/**
 * Cells: touching ellipses with a wavy rim over a shaded background, blurred, with shot and read noise.
 * Labels: 1 cell interior, 2 cell boundary (two pixels), as the NeurIPS 2022 cell challenge trains three classes.
 */
export function cellPicture(index: number, size = 128, seed = 0, style: CellStyle = 'fluorescent'): Picture {
  const random = new Random(`SimCells/${seed}/${index}`);
  const shape: Field['shape'] = [1, size, size];
  const noise = (name: string, sigma: number) => smoothNoise(shape, 1, sigma, random.split(name)).data;
  const instances = new Uint16Array(size * size);
  const place = random.split('place');
  const mean = place.uniform(0.05, 0.09) * size;
  const wanted = place.int(12, 26);
  const cells: { y: number; x: number; r: number; brightness: number }[] = [];
  for (let tries = 0; cells.length < wanted && tries < 400; tries++) {
    const cell = {
      y: place.uniform(0, size),
      x: place.uniform(0, size),
      r: mean * place.uniform(0.7, 1.35),
      brightness: place.uniform(0.35, 0.8),
    };
    if (cells.some((c) => Math.hypot(c.y - cell.y, c.x - cell.x) < 0.85 * (c.r + cell.r))) continue;
    cells.push(cell);
    const ratio = place.uniform(0.7, 1.3);
    const angle = place.uniform(0, Math.PI);
    const waves = [2, 3, 4, 5].map((k) => ({ k, size: place.uniform(0, 0.08), phase: place.uniform(0, 2 * Math.PI) }));
    for (let y = Math.max(0, Math.floor(cell.y - 2 * cell.r)); y < Math.min(size, cell.y + 2 * cell.r); y++)
      for (let x = Math.max(0, Math.floor(cell.x - 2 * cell.r)); x < Math.min(size, cell.x + 2 * cell.r); x++) {
        const [dy, dx] = [y - cell.y, x - cell.x];
        const u = (dx * Math.cos(angle) + dy * Math.sin(angle)) * ratio;
        const v = (-dx * Math.sin(angle) + dy * Math.cos(angle)) / ratio;
        const direction = Math.atan2(v, u);
        const edge = cell.r * (1 + waves.reduce((sum, w) => sum + w.size * Math.sin(w.k * direction + w.phase), 0));
        if (Math.hypot(u, v) < edge && instances[y * size + x] === 0) instances[y * size + x] = cells.length;
      }
  }
  const label = new Uint8Array(size * size);
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const own = instances[y * size + x];
      if (own === 0) continue;
      let border = false;
      for (let dy = -1; dy <= 1; dy++)
        for (let dx = -1; dx <= 1; dx++) {
          const [yy, xx] = [y + dy, x + dx];
          if (yy >= 0 && xx >= 0 && yy < size && xx < size && instances[yy * size + xx] !== own) border = true;
        }
      label[y * size + x] = border ? 2 : 1;
    }
  const light = noise('light', size / 4);
  const texture = noise('texture', 2);
  const tint = [0, 1, 2].map(() => random.split('tint').uniform(0.6, 1));
  const shot = random.split('shot');
  const rgb = new Uint8Array(size * size * 3);
  for (let c = 0; c < 3; c++) {
    const [empty, sign] = style === 'stained' ? [1.1, -1] : [0.18, 1];
    const ideal = Float32Array.from(
      instances,
      (id, i) => empty + 0.05 * light[i] + (id > 0 ? sign * (tint[c] * cells[id - 1].brightness * (1 + 0.12 * texture[i])) : 0),
    );
    const seen = blur({ data: ideal, shape, mm: 1 }, 1.1).data;
    for (let i = 0; i < seen.length; i++) {
      const v = Math.max(0, seen[i]);
      rgb[3 * i + c] = Math.max(
        0,
        Math.min(255, Math.round(200 * (v + Math.sqrt(v) * 0.06 * shot.normal() + 0.02 * shot.normal()))),
      );
    }
  }
  return { rgb, label, instances, size };
}

/**
 * Instruments: one to three tapered tools (shaft, wrist, jaws) reaching in from the border over reddish tissue, with specular
 * spots, vignetting and motion blur. Labels: 1 shaft, 2 wrist, 3 jaws.
 */
export function instrumentPicture(index: number, size = 128, seed = 0): Picture {
  const random = new Random(`SimInstruments/${seed}/${index}`);
  const shape: Field['shape'] = [1, size, size];
  const noise = (name: string, sigma: number) => smoothNoise(shape, 1, sigma, random.split(name)).data;
  const label = new Uint8Array(size * size);
  const shade = new Float32Array(size * size);
  const place = random.split('place');
  for (let tool = place.int(1, 4); tool > 0; tool--) {
    const side = place.uniform(0, 2 * Math.PI);
    const start = [size / 2 + 0.75 * size * Math.sin(side), size / 2 + 0.75 * size * Math.cos(side)];
    const tip = [place.uniform(0.25, 0.75) * size, place.uniform(0.25, 0.75) * size];
    const length = Math.hypot(tip[0] - start[0], tip[1] - start[1]);
    const [uy, ux] = [(tip[0] - start[0]) / length, (tip[1] - start[1]) / length];
    const width = place.uniform(0.035, 0.06) * size;
    const jaw = place.uniform(0.14, 0.22) * size;
    const wrist = place.uniform(0.08, 0.13) * size;
    const opening = place.uniform(0.1, 0.45);
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++) {
        const along = (y - start[0]) * uy + (x - start[1]) * ux;
        const across = Math.abs(-(y - start[0]) * ux + (x - start[1]) * uy);
        const toTip = length - along;
        if (along < 0 || toTip < 0) continue;
        let part = 0;
        if (toTip > jaw + wrist) part = across < width ? 1 : 0;
        else if (toTip > jaw) part = across < 0.75 * width ? 2 : 0;
        else {
          const arm = opening * (jaw - toTip);
          part = Math.abs(across - arm) < width * (0.25 + (0.25 * toTip) / jaw) ? 3 : 0;
        }
        if (part === 0) continue;
        label[y * size + x] = part;
        shade[y * size + x] = 1 - 0.6 * (across / width) ** 2;
      }
  }
  const tissue = noise('tissue', size / 12);
  const vessels = noise('vessels', size / 40);
  const glints = noise('glints', 1.5);
  const speed = random.split('motion').uniform(0, 1.2);
  const sensor = random.split('sensor');
  const metal = [0, 0.45, 0.62, 0.75];
  const rgb = new Uint8Array(size * size * 3);
  for (let c = 0; c < 3; c++) {
    const ideal = Float32Array.from(label, (part, i) => {
      const y = Math.floor(i / size) / size - 0.5;
      const x = (i % size) / size - 0.5;
      const vignette = 1 - 1.1 * (y * y + x * x);
      const flesh = [0.72, 0.36, 0.32][c] * (1 + 0.18 * tissue[i]) - (vessels[i] > 1.3 ? [0.08, 0.14, 0.1][c] : 0);
      const tool = metal[part] * (0.55 + 0.45 * shade[i]);
      return vignette * (part > 0 ? tool : flesh) + (glints[i] > 2.4 ? 0.35 : 0);
    });
    const seen = blur({ data: ideal, shape, mm: 1 }, 0.6 + speed).data;
    for (let i = 0; i < seen.length; i++)
      rgb[3 * i + c] = Math.max(0, Math.min(255, Math.round(255 * (seen[i] + 0.025 * sensor.normal()))));
  }
  return { rgb, label, size };
}
