// Slices as RGB pictures: a grey image with filled labels and contours.
import { type Colour, colourOfLabel } from '../base/labelColours.js';
import { encodePng } from './pngEncoder.js';

/** 8-bit RGB, row by row. */
export interface Rgb {
  width: number;
  height: number;
  data: Uint8Array;
}

export const blank = (width: number, height: number): Rgb => ({ width, height, data: new Uint8Array(width * height * 3) });

export const png = ({ width, height, data }: Rgb): Uint8Array => encodePng(width, height, 3, data);

export const dataUri = (bytes: Uint8Array) => `data:image/png;base64,${Buffer.from(bytes).toString('base64')}`;

export const agreementColours = {
  reference: [0, 200, 140],
  prediction: [240, 228, 66],
  missed: [86, 180, 233],
  excess: [213, 94, 0],
} as const satisfies Record<string, Colour>;

/** One plane cut out of the volumes: values 0-255 and labels, rows top to bottom as shown. */
export interface Plane {
  width: number;
  height: number;
  /** Size of one pixel in mm. */
  pixelMm: [width: number, height: number];
  grey: Uint8Array;
  /** Red, green and blue of each pixel, instead of grey. */
  colour?: Uint8Array;
  reference?: Uint16Array;
  prediction?: Uint16Array;
}

/**
 * Paints a plane, enlarged to `scale` pixels per mm. With a reference alone its labels are filled and outlined; with a prediction
 * beside it both are outlined and what they disagree on is filled.
 */
export function paint(plane: Plane, scale: number): Rgb {
  const width = Math.max(1, Math.round(plane.width * plane.pixelMm[0] * scale));
  const height = Math.max(1, Math.round(plane.height * plane.pixelMm[1] * scale));
  const out = blank(width, height);
  const sourceX = Int32Array.from({ length: width }, (_, x) => Math.min(plane.width - 1, Math.floor((x * plane.width) / width)));
  const sourceY = Int32Array.from({ length: height }, (_, y) =>
    Math.min(plane.height - 1, Math.floor((y * plane.height) / height)),
  );
  const edge = (map: Uint16Array, x: number, y: number) => {
    const here = map[sourceY[y] * plane.width + sourceX[x]];
    if (here === 0) return false;
    return (
      map[sourceY[Math.max(0, y - 1)] * plane.width + sourceX[x]] !== here ||
      map[sourceY[Math.min(height - 1, y + 1)] * plane.width + sourceX[x]] !== here ||
      map[sourceY[y] * plane.width + sourceX[Math.max(0, x - 1)]] !== here ||
      map[sourceY[y] * plane.width + sourceX[Math.min(width - 1, x + 1)]] !== here
    );
  };
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const i = sourceY[y] * plane.width + sourceX[x];
      const at = (y * width + x) * 3;
      for (let c = 0; c < 3; c++) out.data[at + c] = plane.colour ? plane.colour[3 * i + c] : plane.grey[i];
      const r = plane.reference?.[i] ?? 0;
      if (!plane.prediction) {
        if (r) mix(out, at, colourOfLabel(r), plane.reference && edge(plane.reference, x, y) ? 1 : 0.35);
        continue;
      }
      const p = plane.prediction[i];
      if (r !== p) mix(out, at, r === 0 ? agreementColours.excess : agreementColours.missed, 0.45);
      if (plane.reference && edge(plane.reference, x, y)) mix(out, at, agreementColours.reference, 1);
      if (edge(plane.prediction, x, y)) mix(out, at, agreementColours.prediction, r === p ? 0.6 : 1);
    }
  return out;
}

function mix(image: Rgb, at: number, colour: Colour, share: number): void {
  for (let c = 0; c < 3; c++) image.data[at + c] = Math.round(image.data[at + c] * (1 - share) + colour[c] * share);
}

/** Pictures side by side on black, centred in height. */
export function besideEachOther(pictures: readonly Rgb[], gap = 6): Rgb {
  const height = Math.max(...pictures.map((p) => p.height));
  const width = pictures.reduce((sum, p) => sum + p.width, 0) + gap * (pictures.length - 1);
  const out = blank(width, height);
  let x = 0;
  for (const p of pictures) {
    const top = Math.floor((height - p.height) / 2);
    for (let row = 0; row < p.height; row++)
      out.data.set(p.data.subarray(row * p.width * 3, (row + 1) * p.width * 3), ((top + row) * width + x) * 3);
    x += p.width + gap;
  }
  return out;
}
