// Small maps side by side, each with its own grey scale: feature maps of a block, kernels, attention.
import { escapeText, type MimeBundle, NotebookOutput } from '../../report/index.js';
import { besideEachOther, dataUri, paint, png } from '../../report/picture.js';

/** One map: values row by row. */
export interface ValueMap {
  name: string;
  values: ArrayLike<number>;
  width: number;
  height: number;
  /** Under the picture, e.g. a shape. */
  note?: string;
}

const edge = 150;

/** Maps in one row, black the smallest and white the largest value of each. */
export class Maps extends NotebookOutput {
  constructor(
    readonly title: string,
    readonly maps: readonly ValueMap[],
  ) {
    super();
  }

  private pictures() {
    return this.maps.map(({ values, width, height }) => {
      const list = Array.from(values);
      const low = Math.min(...list);
      const span = Math.max(...list) - low || 1;
      const grey = Uint8Array.from(list, (v) => Math.round((255 * (v - low)) / span));
      return paint({ width, height, pixelMm: [1, 1], grey }, edge / Math.max(width, height));
    });
  }

  bundle(): MimeBundle {
    const pictures = this.pictures();
    const cells = this.maps.map((map, i) => {
      const image = `<img alt="${escapeText(map.name)}" style="image-rendering:pixelated;display:block" src="${dataUri(png(pictures[i]))}">`;
      const note = map.note ? `<div style="font-size:80%;color:#555">${escapeText(map.note)}</div>` : '';
      return `<figure style="display:inline-block;margin:4px;width:${edge}px;vertical-align:top">${image}<figcaption style="font-size:85%">${escapeText(map.name)}${note}</figcaption></figure>`;
    });
    return {
      'text/html': `<div><div><strong>${escapeText(this.title)}</strong></div>${cells.join('')}</div>`,
      'image/png': Buffer.from(png(besideEachOther(pictures))).toString('base64'),
      'text/plain': this.toString(),
    };
  }

  override toString(): string {
    const lines = this.maps.map((m) => {
      const list = Array.from(m.values);
      const range = `${Math.min(...list).toPrecision(3)} to ${Math.max(...list).toPrecision(3)}`;
      return `  ${m.name}: ${m.height} × ${m.width}, ${range}${m.note ? `, ${m.note}` : ''}`;
    });
    return [this.title, ...lines].join('\n');
  }
}
