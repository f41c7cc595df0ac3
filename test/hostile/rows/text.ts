// F7, F8: outside text in displays, cells and files for other programs; messages to the kernel.
import { VoxelbookError } from '../../../src/base/errors.js';
import { Random } from '../../../src/base/random.js';
import { shownTable } from '../../../src/base/show.js';
import * as report from '../../../src/report/index.js';
import { listText } from '../../../src/run/list.js';
import { picture } from '../../../src/run/live.js';
import { Kernel, sleep } from '../../kernels/client.js';
import { dangers, labelsOf } from '../../report/dangers.js';
import { allFigures } from '../../report/figures.js';
import { hostileStrings } from '../../report/hostile.js';
import { must, type Outcome, type Row, steersTerminal } from '../row.js';

/** Several hostile strings cut and joined: half-closed tags, escapes within escapes. */
function hostileText(random: Random): string {
  const pieces = Array.from({ length: random.int(1, 4) }, () => {
    const text = random.choice(hostileStrings).slice(0, 200);
    return random.chance(0.3) ? text.slice(random.int(0, text.length + 1)) : text;
  });
  return pieces.join(random.choice(['', ' ', '\n', '"', '<', '&', '\\', ',', '\x1b']));
}

const clean = (what: string, html: string) =>
  must(dangers(html).length === 0, () => `${what}: ${dangers(html)} in ${html.slice(0, 200)}`);
const plain = (what: string, text: string) =>
  must(!steersTerminal.test(text), () => `${what}: ${JSON.stringify(text.slice(0, 200))}`);

/** The cells of CSV as a spreadsheet takes them: within quotes a line may end. */
const cellsOf = (csv: string) =>
  [...csv.matchAll(/("(?:[^"]|"")*"|[^,\n"]*)(,|\n|$)/g)].map(([, cell]) =>
    cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell,
  );

const displays: Row = {
  id: 'F7',
  what: 'hostile names through tables (HTML, text, CSV, LaTeX, Markdown), figures, errors, progress, lists',
  inputs: (n) => 4 * n,
  begin({ seed }) {
    return (i) => {
      const random = new Random(`text ${i} ${seed}`);
      const name = hostileText(random);
      const table = new report.ResultTable(name, [{ key: 'a', label: name }], [{ a: { value: name, text: name, why: name } }]);
      clean('table', table.toHtml());
      plain('table', String(table));
      for (const cell of cellsOf(table.toCsv())) must(!/^[=+@\t\r]/.test(cell), `a formula: ${JSON.stringify(cell)}`);
      must(!/\\(input|write|href|url|include|csname|def|catcode)\b/.test(table.toLatex()), 'a command of LaTeX');
      must(!/<(?!\/?$)/.test(table.toMarkdown()), 'markup in Markdown');
      const error = new VoxelbookError(name, { code: name, path: name, given: name, expected: name, fix: name });
      plain('message', error.message);
      clean('error', report.errorNotice(error).toHtml());
      plain('error', String(report.errorNotice(error)));
      clean('progress', report.progress({ what: name, done: 1, total: 3, etaSeconds: 5 }).toHtml());
      const shown = shownTable(name, [name], [[name]]);
      clean('shown', shown.html);
      plain('shown', shown.text);
      const live = picture(name, [], name);
      plain('live', live['text/plain']);
      for (const [mime, text] of Object.entries(live)) if (/html|svg/.test(mime)) clean('live', text);
      plain(
        'list',
        listText([
          {
            ...{ name, experiment: name, fold: 0, seed: 0, state: 'failed', step: 0, steps: 1, loss: null, pseudoDsc: null },
            ...{ note: name, folder: name },
          },
        ]),
      );
      if (i % 20 === 0) {
        let at = 0;
        for (const [kind, figure] of Object.entries(allFigures(() => `${hostileText(random)}${at++}`))) {
          const bundle = figure.bundle();
          clean(kind, bundle['image/svg+xml'] as string);
          for (const label of labelsOf(bundle['application/vnd.plotly.v1+json']))
            must(!/<[a-z/!?]|&[#\w]+;/i.test(label.replace(/<br>|<extra><\/extra>/g, '')), () => `${kind}: ${label}`);
        }
      }
      return 'equal';
    };
  },
};

/** What cells show of hostile values: by print, as a result, as a table, as an error. */
const cells: Row = {
  id: 'F7 notebook',
  what: 'hostile values printed, returned, shown and thrown in cells of a live kernel',
  inputs: (n) => Math.ceil(n / 2),
  seconds: 120,
  async begin({ seed }) {
    const kernel = await Kernel.start();
    await kernel.run(`import { VoxelbookError, report } from 'voxelbook'`).catch(() => {});
    const forms = [
      (v: string) => `console.log(${v})`,
      (v: string) => v,
      (v: string) => `({ [${v}]: ${v} })`,
      (v: string) => `[[${v}], new Map([[${v}, 1]]), new Set([${v}])]`,
      (v: string) => `throw new Error(${v})`,
      (v: string) => `throw ${v}`,
      (v: string) => `console.table([{ a: ${v} }])`,
      (v: string) => `Object.assign(new Error(${v}), { name: ${v} })`,
      (v: string) => `process.stderr.write(${v})`,
      (v: string) => `(function(){ const o = { toString() { throw new Error(${v}) } }; return o })()`,
    ];
    return {
      async one(i): Promise<Outcome> {
        const random = new Random(`cell ${i} ${seed}`);
        const done = await kernel.run(forms[i % forms.length](JSON.stringify(hostileText(random))), 30_000);
        for (const type of ['display_data', 'execute_result', 'update_display_data'])
          for (const { data } of done.of(type))
            for (const [mime, text] of Object.entries(data)) if (/html|svg/.test(mime)) clean(mime, String(text));
        must(['ok', 'error'].includes(done.reply.status), String(done.reply.status));
        must(JSON.stringify(done.all).length < 2e5, 'more than 200 kB shown');
        return done.reply.status === 'ok' ? 'sound' : 'refused';
      },
      end: () => kernel.close(),
    };
  },
};

const types = [
  ...['kernel_info_request', 'execute_request', 'complete_request', 'inspect_request', 'is_complete_request', 'history_request'],
  ...[
    'comm_info_request',
    'comm_open',
    'comm_msg',
    'comm_close',
    'interrupt_request',
    'debug_request',
    'x',
    '',
    '__proto__',
    'input_reply',
  ],
];

/** Messages with contents that no client sends: the kernel answers, or keeps still, and works on. */
const messages: Row = {
  id: 'F8',
  what: 'mutated kernel messages, signed and wrongly signed; after each the kernel still answers',
  inputs: (n) => n,
  seconds: 120,
  async begin({ seed }) {
    const kernel = await Kernel.start();
    const odd = (random: Random): unknown =>
      random.choice<unknown>([
        ...[null, undefined, '', 'x', -1, 1e300, [], {}, true, '\ud800', 'a'.repeat(100_000), 'x\0y'],
        ...['const x = ', '1+1', '}', '`', '\\', 'import', 'await 0', { data: {} }, [['a']]],
      ]);
    return {
      async one(i): Promise<Outcome> {
        const random = new Random(`message ${i} ${seed}`);
        const content = Object.fromEntries(
          [
            'code',
            'cursor_pos',
            'silent',
            'store_history',
            'user_expressions',
            'detail_level',
            'comm_id',
            'target_name',
            'data',
            'hist_access_type',
            'n',
          ]
            .filter(() => random.chance(0.5))
            .map((key) => [key, odd(random)]),
        );
        // A cell that really loops or asks would be that cell's own doing.
        const channel = random.choice(['shell', 'control', 'stdin'] as const);
        kernel.send(channel, random.choice(types), content, random.chance(0.2) ? 'another key' : undefined);
        if (i % 10 === 9) {
          const { implementation } = await kernel.ask('control', 'kernel_info_request', {});
          must(typeof implementation === 'string', 'no answer');
          let done = await kernel.run('6 * 7', 30_000);
          // Behind a cell that failed Jupyter's rule is to leave out what waits: it is sent again.
          if (done.reply.status === 'aborted') done = await kernel.run('6 * 7', 30_000);
          must(done.result?.['text/plain'] === '42', `6 * 7 is ${JSON.stringify(done.result)}, ${JSON.stringify(done.reply)}`);
        } else await sleep(2);
        must(
          kernel.process.exitCode === null && kernel.process.signalCode === null,
          `the kernel ended: ${kernel.stderr.slice(-300)}`,
        );
        return 'sound';
      },
      end: () => kernel.close(),
    };
  },
};

export const rows: Row[] = [displays, cells, messages];
