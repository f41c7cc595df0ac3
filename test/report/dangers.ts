// What in parsed markup could run, load or navigate.
import { parse, parseFragment, type DefaultTreeAdapterTypes as Tree } from 'parse5';

const allowed = new Set(
  'html head body div span table caption thead tbody tr th td strong u img svg title text rect path line polyline circle g'.split(
    ' ',
  ),
);

/** Everything dangerous in a piece of markup, or a whole document; empty when there is nothing. */
export function dangers(html: string, document = false): string[] {
  const found: string[] = [];
  const visit = (node: Tree.Node) => {
    if ('tagName' in node) {
      if (!allowed.has(node.tagName)) found.push(`<${node.tagName}>`);
      for (const { name, value } of node.attrs) {
        if (/^on/i.test(name)) found.push(`${node.tagName} ${name}`);
        if (
          /^(href|src|srcset|action|formaction|data|poster|background|xlink:href)$/i.test(name) &&
          !value.startsWith('data:image/png;base64,')
        )
          found.push(`${node.tagName} ${name}=${value}`);
        if (name === 'style' && /url\(|expression|position|@import/i.test(value)) found.push(`style ${value}`);
        if (name === 'id') found.push(`id ${value}`);
      }
    }
    if ('childNodes' in node) for (const child of node.childNodes) visit(child);
  };
  visit(document ? parse(html) : parseFragment(html));
  return found;
}

/** Strings anywhere in a value: plotly reads a little HTML in labels. */
export function labelsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(labelsOf);
  if (value && typeof value === 'object') return Object.values(value).flatMap(labelsOf);
  return [];
}
