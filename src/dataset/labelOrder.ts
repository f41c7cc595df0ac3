// The order of names in `labels`. A JavaScript object puts names that are whole numbers first and ascending; Python, and so nnU-Net, keeps
// the file's order, which decides what region is written over what.
import type { DatasetJson } from './dataset.js';

/** One JSON string, or one sign that structures a text; numbers and words in between are passed over. */
const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:,]/g;

/**
 * Names of the object `labels` of a JSON text in the order in which they stand there; a name given twice keeps its first place, as in Python.
 * @param text JSON that can be parsed
 * @returns undefined when there is no such object
 */
export function labelOrder(text: string): string[] | undefined {
  const open: string[] = [];
  let found: string[] | undefined;
  let inside = false;
  let last = '';
  let before = '';
  for (const [sign] of text.matchAll(token)) {
    if (sign === ':' && open.length === 2 && inside) found!.push(JSON.parse(last));
    if (sign === '{' || sign === '[') {
      open.push(sign);
      if (open.length === 2 && sign === '{' && before === ':' && JSON.parse(last) === 'labels') {
        inside = true;
        found = [];
      }
    } else if (sign === '}' || sign === ']') {
      open.pop();
      if (open.length === 1) inside = false;
    } else if (sign.startsWith('"')) last = sign;
    before = sign;
  }
  return found && [...new Set(found)];
}

/** `dataset.json` as text, its labels in their own order. */
export function datasetJsonText(json: DatasetJson): string {
  const { label_order: order, ...rest } = json;
  if (!order) return `${JSON.stringify(json, null, 2)}\n`;
  const entries = order.map((name) => `    ${JSON.stringify(name)}: ${JSON.stringify(json.labels[name])}`);
  const mark = '\u0000labels';
  const text = JSON.stringify({ ...rest, labels: mark }, null, 2);
  return `${text.replace(JSON.stringify(mark), () => `{\n${entries.join(',\n')}\n  }`)}\n`;
}
