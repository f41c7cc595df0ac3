// The live viewer of a notebook: niivue in an anywidget. The kernel sends volumes as NIfTI files; everything else happens here.
import { NVImage, SLICE_TYPE } from '@niivue/niivue';
import { colourMap, newViewer } from '../../onnx/page/niivue.js';

interface Entry {
  label: number;
  name: string;
  colour: string;
}
/** What the kernel's side (`liveView.ts`) sends. */
interface State {
  image: DataView;
  masks: { name: string; key: string }[];
  entries: Entry[];
  window: [number, number];
  range: [number, number];
}
interface Model {
  get<K extends keyof State>(name: K): State[K];
  get(name: string): DataView;
}

const layouts = {
  'planes and 3-D': SLICE_TYPE.MULTIPLANAR,
  axial: SLICE_TYPE.AXIAL,
  coronal: SLICE_TYPE.CORONAL,
  sagittal: SLICE_TYPE.SAGITTAL,
  '3-D': SLICE_TYPE.RENDER,
};

async function render({ model, el }: { model: Model; el: HTMLElement }) {
  const root = add(el, 'div', { className: 'vb-niivue' });
  root.style.cssText = 'font:12px sans-serif;max-width:960px';
  const stage = add(root, 'div');
  stage.style.cssText = 'height:520px;background:#000';
  const canvas = add(stage, 'canvas', { tabIndex: 0 });
  const place = add(root, 'div', { className: 'vb-place' });
  place.style.cssText = 'min-height:1.4em;font-variant-numeric:tabular-nums';
  const nv = newViewer();
  try {
    await nv.attachToCanvas(canvas);
  } catch (error) {
    root.textContent = `The live viewer needs WebGL 2 (${(error as Error).message}); the picture beside it stands.`;
    return;
  }
  nv.onLocationChange = (location) => {
    place.textContent = (location as { string: string }).string;
  };
  nv.addVolume(await imageOf(model.get('image'), 'image.nii'));
  const entries = model.get('entries');
  const off = new Set<number>();
  for (const { name, key } of model.get('masks')) {
    const mask = await imageOf(model.get(key), `${name}.nii`);
    mask.setColormapLabel(colourMap('', entries, off));
    nv.addVolume(mask);
  }

  const window = row(root, 'window');
  const [low, high] = model.get('window');
  const [least, most] = model.get('range');
  const ends = [low, high].map((value, i) =>
    slider(window, i === 0 ? 'black' : 'white', { min: least, max: most, step: (most - least) / 500, value }, () => {
      const [a, b] = ends.map((input) => Number(input.value));
      const [image] = nv.volumes;
      [image.cal_min, image.cal_max] = [Math.min(a, b), Math.max(a, b, Math.min(a, b) + (most - least) / 500)];
      nv.updateGLVolume();
    }),
  );
  ends[0].dispatchEvent(new Event('input'));
  const masks = model.get('masks');
  if (masks.length > 0) {
    const opacities = row(root, 'opacity');
    for (const [i, { name }] of masks.entries()) {
      const input = slider(opacities, name, { min: 0, max: 1, step: 0.05, value: i === 0 ? 0.5 : 0.3 }, () =>
        nv.setOpacity(i + 1, Number(input.value)),
      );
      input.dispatchEvent(new Event('input'));
    }
    tick(opacities, 'outlines', false, (on) => {
      nv.overlayOutlineWidth = on ? 0.3 : 0;
      nv.updateGLVolume();
    });
    const classes = row(root, 'classes');
    for (const { label, name, colour } of entries) {
      const shown = tick(classes, name, true, (on) => {
        if (on) off.delete(label);
        else off.add(label);
        for (const mask of nv.volumes.slice(1)) mask.setColormapLabel(colourMap('', entries, off));
        nv.updateGLVolume();
      });
      shown.style.borderBottom = `3px solid ${colour}`;
    }
  }
  const how = row(root, 'view');
  const select = add(how, 'select', { name: 'layout' });
  for (const name of Object.keys(layouts)) select.add(new Option(name));
  select.addEventListener('input', () => nv.setSliceType(layouts[select.value as keyof typeof layouts]));
  tick(how, 'crosshair', true, (on) => {
    nv.opts.show3Dcrosshair = on;
    nv.setCrosshairWidth(on ? 0.3 : 0);
  });
  nv.setSliceType(SLICE_TYPE.MULTIPLANAR);
  root.dataset.state = 'ready';
  return () => nv.gl.getExtension('WEBGL_lose_context')?.loseContext();
}

const imageOf = (bytes: DataView, name: string) =>
  NVImage.loadFromFile({ file: new File([bytes as DataView<ArrayBuffer>], name), name });

function add<K extends keyof HTMLElementTagNameMap>(
  parent: HTMLElement,
  kind: K,
  about: Partial<HTMLElementTagNameMap[K]> = {},
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(kind), about);
  parent.append(element);
  return element;
}

function row(parent: HTMLElement, name: string): HTMLElement {
  const line = add(parent, 'div');
  line.style.cssText = 'display:flex;flex-wrap:wrap;gap:4px 14px;align-items:center;margin:3px 0';
  add(line, 'span', { textContent: name }).style.cssText = 'width:4.5em;color:#666';
  return line;
}

function slider(
  parent: HTMLElement,
  name: string,
  { min, max, step, value }: { min: number; max: number; step: number; value: number },
  change: () => void,
): HTMLInputElement {
  const label = add(parent, 'label', { textContent: `${name} ` });
  const input = add(label, 'input', { type: 'range', name });
  Object.assign(input, { min: String(min), max: String(max), step: String(step) });
  input.value = String(value);
  input.style.verticalAlign = 'middle';
  input.addEventListener('input', change);
  return input;
}

function tick(parent: HTMLElement, name: string, checked: boolean, change: (on: boolean) => void): HTMLElement {
  const label = add(parent, 'label');
  const input = add(label, 'input', { type: 'checkbox', name, checked });
  input.style.verticalAlign = 'middle';
  label.append(` ${name}`);
  input.addEventListener('input', () => change(input.checked));
  return label;
}

export default { render };
