// `voxelbook reproduce`: run a paper’s tables again and print them, or say first what that takes.
import fs from 'node:fs';
import {
  type Command,
  extensionHelp,
  extensionOption,
  integer,
  interrupt,
  need,
  print,
  readSite,
  studyOf,
  usage,
} from './command.js';

export const reproduce: Command = {
  about: 'run a paper’s tables again and print them, or say first what that takes',
  takes: '<mednext | kaist-brats21 | stu-net | swin-umamba | experiments.json>',
  options: {
    ...extensionOption,
    scale: { type: 'string' },
    table: { type: 'string', multiple: true },
    'dry-run': { type: 'boolean' },
    'at-once': { type: 'string' },
    target: { type: 'string' },
    site: { type: 'string' },
    csv: { type: 'string' },
  },
  help: {
    ...extensionHelp,
    scale: 'demo (default) or paper',
    table: 'only this table of the paper; may be given again (default: all)',
    'dry-run': 'compute nothing: print every run with its plan, memory, disk and hours, and write the job scripts',
    'at-once': 'runs computed at the same time (default 1)',
    target: 'local (default) or slurm',
    site: 'JSON with partition, account, time, memory … of the cluster',
    csv: 'also write the table to this file',
  },
  example: 'npx voxelbook reproduce mednext --scale paper --dry-run',
  async work(positionals, values) {
    const [what] = need(positionals, 'paper or experiments.json');
    const { target = 'local', scale = 'demo' } = values;
    if (target !== 'local' && target !== 'slurm') throw usage(`--target ${target}`, 'local or slurm');
    if (scale !== 'demo' && scale !== 'paper') throw usage(`--scale ${scale}`, 'demo or paper');
    const site = await readSite(values.site);
    const study = await studyOf(what, scale, values);
    const experiments = 'tables' in study ? study.experiments : study.filter((e) => e.scale === scale);
    if (values['dry-run']) {
      const { dryRun } = await import('../dryRun.js');
      const planned = await dryRun('tables' in study ? study : experiments, {
        slurm: {
          ...site,
          atOnce: site.atOnce ?? (values['at-once'] === undefined ? undefined : integer(values['at-once'], 'at-once', 1, 1)),
        },
        signal: interrupt(),
        onEvent: (text) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`),
      });
      if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
      print(`${planned}\n\n${planned.summary}\nJob scripts in ${planned.scripts}; bash submit.sh there hands them in.`);
      if (values.csv) fs.writeFileSync(String(values.csv), planned.toCsv());
      const wrong = planned.rows.find((row) => row.error);
      if (wrong) throw new Error(`${wrong.name}, ${wrong.dataset}: ${wrong.error}`);
      return;
    }
    const { reproduce } = await import('../reproduce.js');
    const { ablation } = await import('../../report/index.js');
    const { rows, failures } = await reproduce(experiments, {
      scale,
      atOnce: integer(values['at-once'], 'at-once', 1, 1),
      target,
      slurm: site,
      signal: interrupt(),
      display: null,
      onEvent: print,
    });
    // One table for each table of the paper and data set: rows of different data are not one comparison.
    const parts = 'tables' in study ? study.tables : [{ id: '', experiments }];
    const csv: string[] = [];
    for (const { id, experiments: part } of parts)
      for (const dataset of new Set(part.map((e) => e.dataset))) {
        const table = ablation(rows.filter((_, i) => part.includes(experiments[i]) && experiments[i].dataset === dataset));
        print(`${id ? `${id}, ${dataset}\n` : ''}${table.toMarkdown()}`);
        csv.push(table.toCsv());
      }
    if (values.csv) fs.writeFileSync(String(values.csv), csv.join('\n'));
    if (failures.length > 0) throw failures[0].error;
  },
};
