// SimGlioma: real average anatomy (ICBM 152) with simulated gliomas, four MRI channels, BraTS-like labels.
//
// Simulated, not patients: the tumour, its mass effect, the four contrasts, noise and bias field follow simple formulas.
// All lengths in mm. Regions are nested by construction: WT = {1,2,3} ⊃ TC = {1,3} ⊃ ET = {3}.
import { Random } from '../base/random.js';
import { icbmBrain } from './anatomy.js';
import { blur, depthInside, type Field, field, sample, smoothNoise } from './field.js';

export interface GliomaSettings {
  cases: number;
  /** Edge of a voxel in mm. */
  mm: number;
  shape: [number, number, number];
  seed: number;
}

/** 3 mm: minutes on two cores. */
export const gliomaDefaults: GliomaSettings = { cases: 20, mm: 3, shape: [56, 64, 48], seed: 0 };

export interface GliomaCase {
  /** T1, T1ce, T2, FLAIR; uint8, 0 outside the brain. */
  channels: Uint8Array[];
  /** 0 background, 1 necrotic core, 2 edema, 3 enhancing tumour. */
  label: Uint8Array;
}

/** Mean intensity per channel of WM, GM, CSF, necrosis, edema, enhancing tumour. */
const contrasts = [
  [1.0, 0.76, 0.3, 0.48, 0.68, 0.72],
  [1.0, 0.79, 0.32, 0.5, 0.7, 1.3],
  [0.55, 0.72, 1.6, 1.3, 1.1, 0.95],
  [0.66, 0.82, 0.28, 0.85, 1.15, 1.05],
];

/** The anatomy maps low-passed for a voxel size; made once, used by every case. */
export interface Anatomy {
  white: Field;
  grey: Field;
  brain: Field;
}

export function anatomyFor(mm: number): Anatomy {
  const t1 = icbmBrain('t1');
  const mask = { ...t1, data: t1.data.map((v) => (v > 0 ? 1 : 0)) };
  const lowPass = (f: Field) => blur(f, 0.42 * mm);
  return { white: lowPass(icbmBrain('wm')), grey: lowPass(icbmBrain('gm')), brain: lowPass(mask) };
}

/** Case number `index` of the set with this seed; the same numbers give the same voxels. */
export function gliomaCase(anatomy: Anatomy, index: number, settings: GliomaSettings = gliomaDefaults): GliomaCase {
  const { mm, shape } = settings;
  const random = new Random(`SimGlioma/${settings.seed}/${index}`);
  const noise = (name: string, sigma: number) => smoothNoise(shape, mm, sigma, random.split(name)).data;
  const count = shape[0] * shape[1] * shape[2];
  const place = coordinates(shape, mm);

  // Anatomy: rotation, scale, smooth warp, mirror.
  const pose = random.split('pose');
  const rotation = euler([0, 1, 2].map(() => (pose.uniform(-8, 8) * Math.PI) / 180));
  const scale = [0, 1, 2].map(() => pose.uniform(0.92, 1.08));
  const mirror = pose.chance(0.5) ? -1 : 1;
  const warp = [0, 1, 2].map((k) => ({ size: pose.uniform(1.5, 3), by: noise(`warp${k}`, 18) }));
  const position = new Float32Array(3 * count); // where each voxel looks into the anatomy, mm from its centre, (z, y, x)
  for (let i = 0; i < count; i++) {
    const p = place(i);
    const q = apply(rotation, [p[0] * scale[0], p[1] * scale[1], p[2] * scale[2]]);
    for (let k = 0; k < 3; k++) position[3 * i + k] = q[k] + warp[k].size * warp[k].by[i];
    position[3 * i + 2] *= mirror;
  }
  const centre = anatomy.brain.shape.map((n) => (n - 1) / 2);
  const look = (map: Field, i: number, shift: readonly number[]) =>
    sample(
      map,
      centre[0] + position[3 * i] + shift[0],
      centre[1] + position[3 * i + 1] + shift[1],
      centre[2] + position[3 * i + 2] + shift[2],
    );
  const still = [0, 0, 0];

  // Size and place of the tumour: in white matter, deep enough.
  const tumour = random.split('tumour');
  const radius = Math.exp(tumour.uniform(Math.log(10), Math.log(24)));
  const brainBefore = field(shape, mm);
  for (let i = 0; i < count; i++) brainBefore.data[i] = look(anatomy.brain, i, still);
  const depth = depthInside(brainBefore).data;
  const candidates: number[] = [];
  for (let i = 0; i < count; i++) if (depth[i] > 0.6 * radius && look(anatomy.white, i, still) > 0.5) candidates.push(i);
  const middle = place(candidates.length > 0 ? tumour.choice(candidates) : depth.indexOf(depth.reduce((a, b) => Math.max(a, b))));

  // Shape, and the push it gives to the tissue around.
  const axes = randomRotation(tumour);
  const stretch = [0, 1, 2].map(() => tumour.uniform(0.8, 1.25));
  const push = tumour.uniform(0.05, 0.25);
  const ragged = noise('ragged', 6);
  const distance = new Float32Array(count); // to the tumour's edge, negative inside
  const [white, grey, brain] = [field(shape, mm), field(shape, mm), field(shape, mm)];
  for (let i = 0; i < count; i++) {
    const p = place(i);
    const r = [p[0] - middle[0], p[1] - middle[1], p[2] - middle[2]];
    const turned = apply(axes, r);
    const rho = Math.hypot(turned[0] * stretch[0], turned[1] * stretch[1], turned[2] * stretch[2]);
    distance[i] = rho - radius * (1 + 0.22 * ragged[i]);
    const length = Math.hypot(...r) || 1;
    const amount = (push * radius * Math.exp(-(rho ** 2) / (2 * (1.4 * radius) ** 2))) / length;
    const shift = apply(rotation, [r[0] * amount * scale[0], r[1] * amount * scale[1], r[2] * amount * scale[2]]).map((v) => -v);
    shift[2] *= mirror;
    white.data[i] = look(anatomy.white, i, shift);
    grey.data[i] = look(anatomy.grey, i, shift);
    brain.data[i] = look(anatomy.brain, i, shift);
  }

  const label = labels({ distance, white, grey, brain, random: random.split('labels'), noise });
  return { channels: render({ label, white, grey, brain, random: random.split('image'), noise, shape, mm }), label };
}

function labels(of: {
  distance: Float32Array;
  white: Field;
  grey: Field;
  brain: Field;
  random: Random;
  noise: (name: string, sigma: number) => Float32Array;
}): Uint8Array {
  const { distance, white, grey, brain, random, noise } = of;
  const rim = random.uniform(3, 6);
  const enhancing = random.chance(0.88);
  const reach = random.uniform(5, 16);
  const [rimNoise, edemaNoise] = [noise('rim', 5), noise('edema', 5)];
  const smoothWhite = blur(white, 1.5 * white.mm).data;
  return Uint8Array.from(distance, (d, i) => {
    if (brain.data[i] <= 0.5) return 0;
    if (d < 0) return enhancing && d >= -rim * (1 + 0.3 * rimNoise[i]) ? 3 : 1;
    const csf = Math.min(1, Math.max(0, brain.data[i] - white.data[i] - grey.data[i]));
    return csf < 0.5 && d < reach * (0.15 + smoothWhite[i]) * (1 + 0.35 * edemaNoise[i]) ? 2 : 0;
  });
}

function render(of: {
  label: Uint8Array;
  white: Field;
  grey: Field;
  brain: Field;
  random: Random;
  noise: (name: string, sigma: number) => Float32Array;
  shape: Field['shape'];
  mm: number;
}): Uint8Array[] {
  const { label, white, grey, brain, random, noise, shape, mm } = of;
  const count = label.length;
  const soft = [1, 2, 3].map((k) => blur({ data: Float32Array.from(label, (v) => (v === k ? 1 : 0)), shape, mm }, 0.5 * mm).data);
  const spots = noise('spots', 3);
  const vessels = noise('vessels', 3);
  return contrasts.map((row, channel) => {
    const draw = random.split(channel);
    const mean = row.map((mu) => mu * (1 + 0.13 * draw.normal()));
    const texture = noise(`texture${channel}`, 4);
    const inside = noise(`inside${channel}`, 4);
    const bias = noise(`bias${channel}`, 45);
    const most = bias.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    const image = field(shape, mm);
    for (let i = 0; i < count; i++) {
      const [necrosis, edema, enhancing] = [soft[0][i], soft[1][i], soft[2][i]];
      const healthy = 1 - necrosis - edema - enhancing;
      const csf = Math.min(1, Math.max(0, brain.data[i] - white.data[i] - grey.data[i]));
      let v = healthy * (mean[0] * white.data[i] + mean[1] * grey.data[i] + mean[2] * csf);
      v += mean[3] * necrosis + mean[4] * edema + mean[5] * enhancing;
      v *= 1 + 0.04 * texture[i] + (label[i] > 0 ? 0.18 * inside[i] : 0);
      if (spots[i] > 2.6 && white.data[i] > 0.6) v += [-0.08, -0.08, 0.2, 0.35][channel];
      if (channel === 1 && vessels[i] > 2.7) v += 0.45;
      image.data[i] = v * Math.exp((0.15 * bias[i]) / most);
    }
    const seen = blur(image, 0.4 * mm).data;
    const rician = draw.split('noise');
    const sd = draw.uniform(0.1, 0.16);
    const gain = draw.uniform(90, 130);
    return Uint8Array.from(seen, (v, i) => {
      const [a, b] = [v + sd * rician.normal(), sd * rician.normal()];
      return brain.data[i] > 0.5 ? Math.max(1, Math.min(255, Math.round(gain * Math.hypot(a, b)))) : 0;
    });
  });
}

/** Index → position in mm from the grid's centre, (z, y, x). */
const coordinates =
  ([d, h, w]: Field['shape'], mm: number) =>
  (i: number): [number, number, number] => [
    (Math.floor(i / (h * w)) - (d - 1) / 2) * mm,
    ((Math.floor(i / w) % h) - (h - 1) / 2) * mm,
    ((i % w) - (w - 1) / 2) * mm,
  ];

type Matrix = number[][];
const apply = (m: Matrix, v: readonly number[]) => m.map((row) => row[0] * v[0] + row[1] * v[1] + row[2] * v[2]);
const product = (a: Matrix, b: Matrix) =>
  a.map((row) => [0, 1, 2].map((j) => row[0] * b[0][j] + row[1] * b[1][j] + row[2] * b[2][j]));

function euler([a, b, c]: number[]): Matrix {
  const turn = (angle: number, i: number, j: number) => {
    const m: Matrix = [0, 1, 2].map((r) => [0, 1, 2].map((s) => Number(r === s)));
    m[i][i] = m[j][j] = Math.cos(angle);
    m[i][j] = -Math.sin(angle);
    m[j][i] = Math.sin(angle);
    return m;
  };
  return product(product(turn(a, 1, 2), turn(b, 0, 2)), turn(c, 0, 1));
}

/** Uniform over rotations: a normalised quaternion of normals. */
function randomRotation(random: Random): Matrix {
  const q = [0, 1, 2, 3].map(() => random.normal());
  const n = Math.hypot(...q);
  const [w, x, y, z] = q.map((v) => v / n);
  return [
    [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
    [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
    [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
  ];
}
