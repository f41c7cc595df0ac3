// Controls in the page that call TypeScript: an anywidget (https://anywidget.dev) per group of controls, spoken to by
// Jupyter's widget messages, so no code has to be installed in the page but the anywidget extension itself.

const widgetMime = 'application/vnd.jupyter.widget-view+json';

/** What runs in the page: draws the controls, and sends `values` when one of them moves. */
const controlsModule = `
function field(name, control, value, change) {
  const row = document.createElement('label');
  row.style.cssText = 'display:grid;grid-template-columns:8em minmax(8em,24em) 6em;gap:.6em;align-items:center;margin:.2em 0';
  const title = document.createElement('span');
  title.textContent = control.label ?? name;
  const shown = document.createElement('output');
  let input;
  if (control.kind === 'select') {
    input = document.createElement('select');
    for (const option of control.options) input.add(new Option(String(option), String(option)));
  } else {
    input = document.createElement('input');
    input.type = control.kind === 'check' ? 'checkbox' : 'range';
    if (control.kind === 'slider') Object.assign(input, { min: control.min, max: control.max, step: control.step });
  }
  input.name = name;
  const set = (v) => {
    if (control.kind === 'check') input.checked = v;
    else input.value = String(v);
    if (control.kind === 'slider') shown.textContent = String(v);
  };
  set(value);
  input.addEventListener('input', () => {
    const v =
      control.kind === 'check' ? input.checked : control.kind === 'slider' ? Number(input.value) : control.options[input.selectedIndex];
    set(v);
    change(v);
  });
  row.append(title, input, shown);
  return { row, set };
}
function render({ model, el }) {
  const controls = model.get('controls');
  const fields = Object.entries(controls).map(([name, control]) => {
    const { row, set } = field(name, control, model.get('values')[name], (v) => {
      model.set('values', { ...model.get('values'), [name]: v });
      model.save_changes();
    });
    return [name, set, row];
  });
  el.append(...fields.map(([, , row]) => row));
  model.on('change:values', () => fields.forEach(([name, set]) => set(model.get('values')[name])));
}
export default { render };
`;

const safe = (text) => String(text).replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);

const control = (kind, about) => ({ kind, ...about });
/** A slider from `min` to `max`; begins in the middle unless told. */
export function slider({ min = 0, max, step = 1, value = min + step * Math.round((max - min) / 2 / step), label } = {}) {
  if (![min, max, step, value].every(Number.isFinite) || min > max || step <= 0 || value < min || value > max)
    throw new RangeError(
      `slider: min ${min}, max ${max}, step ${step}, value ${value}; expected numbers with min ≤ value ≤ max and step above 0`,
    );
  return control('slider', { min, max, step, value, label });
}
/** One of several; begins with the first unless told. */
export function select(options, { value = options?.[0], label } = {}) {
  if (!Array.isArray(options) || options.length === 0 || !options.includes(value))
    throw new RangeError(
      `select: options ${JSON.stringify(options)}, value ${JSON.stringify(value)}; expected a list that holds the value`,
    );
  return control('select', { options, value, label });
}
/** On or off. */
export const check = ({ value = false, label } = {}) => control('check', { value: Boolean(value), label });

/**
 * @param services of the kernel: openComm, displayBundle, display
 * @param hide marks a value that is no result of a cell
 */
export function widgets({ openComm, displayBundle, display }, hide) {
  /**
   * Any anywidget: `esm` is a module whose default export has `render({ model, el })`; `state` is shared with it.
   * `show` takes the bundle that stands for it in a cell.
   */
  function widget(esm, state, { css = '', still = '', onChange, show = displayBundle } = {}) {
    const current = { ...state };
    const names = { _model_module: 'anywidget', _model_name: 'AnyModel', _view_module: 'anywidget', _view_name: 'AnyView' };
    const version = {
      _model_module_version: '~0.11.*',
      _view_module_version: '~0.11.*',
      _view_count: null,
      _anywidget_id: 'voxelbook',
    };
    const whole = () => inBuffers({ ...names, ...version, _esm: esm, _css: css, ...current });
    const { data, buffers } = whole();
    const comm = openComm('jupyter.widget', data, { metadata: { version: '2.1.0' }, buffers });
    const update = ({ data, buffers }) => comm.send({ method: 'update', ...data }, { buffers });
    comm.onMessage = (message) => {
      if (message.method === 'request_state') update(whole());
      else if (message.method === 'update') {
        // What the page sets is what this widget has, nothing else.
        const changed = Object.fromEntries(Object.entries(message.state ?? {}).filter(([name]) => Object.hasOwn(current, name)));
        Object.assign(current, changed);
        onChange?.(changed);
      }
    };
    show({
      [widgetMime]: { version_major: 2, version_minor: 0, model_id: comm.id },
      'text/html': `${still}<p><small>To use the controls: <code>pip install anywidget</code> beside Jupyter, and run this cell.</small></p>`,
      'text/plain': `widget (${Object.keys(current).join(', ')}): its controls need Jupyter with anywidget`,
    });
    return hide({
      get state() {
        return current;
      },
      set(changed) {
        Object.assign(current, changed);
        update(inBuffers(changed));
      },
      close: () => comm.close(),
    });
  }

  /**
   * Shows controls, and beneath them what `draw` makes of their values, again whenever one of them moves. Without a page
   * that has anywidget the first picture stands there, with the values it was drawn for. `show` takes the bundle that
   * stands for the controls.
   */
  function interact(controls, draw, { show } = {}) {
    for (const [name, c] of Object.entries(controls))
      if (!['slider', 'select', 'check'].includes(c?.kind))
        throw new TypeError(`interact: ${name} is no control; expected slider(…), select(…) or check(…)`);
    let values = Object.fromEntries(Object.entries(controls).map(([name, { value }]) => [name, value]));
    const still = `<p>${Object.entries(values)
      .map(([name, v]) => `${safe(controls[name].label ?? name)}: ${safe(v)}`)
      .join(', ')}</p>`;
    let output;
    let drawing = false;
    // Of many moves while a picture is drawn the last one counts.
    async function redraw() {
      if (drawing) return;
      drawing = true;
      try {
        for (let drawn; drawn !== values; ) {
          drawn = values;
          const shown = await output;
          await shown.update(await draw(drawn));
        }
      } finally {
        drawing = false;
      }
    }
    const shown = widget(
      controlsModule,
      { controls, values },
      {
        still,
        show,
        onChange({ values: next }) {
          if (next === undefined) return;
          values = accepted(controls, values, next);
          return redraw();
        },
      },
    );
    output = display(Promise.resolve().then(() => draw(values)));
    return hide({
      get values() {
        return values;
      },
      set(changed) {
        values = accepted(controls, values, changed);
        shown.set({ values });
        return redraw();
      },
      close: shown.close,
    });
  }

  return { widget, interact, slider, select, check };
}

/** A state as messages have it: bytes go beside the JSON, and reach the page as a DataView. */
function inBuffers(state) {
  const isBytes = (value) => ArrayBuffer.isView(value);
  const bytes = Object.entries(state).filter(([, value]) => isBytes(value));
  const rest = Object.fromEntries(Object.entries(state).filter(([, value]) => !isBytes(value)));
  return { data: { state: rest, buffer_paths: bytes.map(([name]) => [name]) }, buffers: bytes.map(([, value]) => value) };
}

/** Values a control can have; others stay what they were. */
function accepted(controls, before, next) {
  const fits = ({ kind, min, max, options }, value) => {
    if (kind === 'slider') return Number.isFinite(value) && value >= min && value <= max;
    return kind === 'select' ? options.includes(value) : typeof value === 'boolean';
  };
  return Object.fromEntries(
    Object.entries(before).map(([name, old]) => [name, fits(controls[name], next[name]) ? next[name] : old]),
  );
}
