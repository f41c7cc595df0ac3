// `voxelbook reproduce`: run a paper’s tables again and print them, or say first what that takes.
import fs from 'node:fs';
import { integer, interrupt, need, ofExperiments, print, readSite, studyOf, usage } from './command.js';

export const reproduce = ofExperiments({
  about: 'run a paper’s tables again and print them, or say first what that takes',
  takes: '<mednext | kaist-brats21 | stu-net | swin-umamba | experiments.json>',
  options: {
    scale: { type: 'string' },
    table: { type: 'string', multiple: true },
    'dry-run': { type: 'boolean' },
    'at-once': { type: 'string' },
    record: { type: 'boolean' },
    target: { type: 'string' },
    site: { type: 'string' },
    csv: { type: 'string' },
  },
  help: {
    scale:
      'demo (default), desk (claims decided in an hour or two, held against their recording; also mednext-resampling, kaist-brats21-attention) or paper',
    record: 'of a desk study: write notebooks/recorded/<paper>.json instead of comparing with it',
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
    if (scale !== 'demo' && scale !== 'desk' && scale !== 'paper') throw usage(`--scale ${scale}`, 'demo, desk or paper');
    if (values.record && scale !== 'desk') throw usage('--record', 'with --scale desk');
    if (values.table && scale === 'desk') throw usage('--table', 'with --scale demo or paper: a desk study has no tables');
    const site = await readSite(values.site);
    const study = scale === 'desk' ? (await import('../../paper/index.js')).desk(what) : await studyOf(what, scale, values);
    const experiments = Array.isArray(study) ? study.filter((e) => e.scale === scale) : study.experiments;
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
    if ('plan' in study) {
      const { reproduceDesk } = await import('./reproduceDesk.js');
      const atOnce = integer(values['at-once'], 'at-once', 1, 1);
      return reproduceDesk(study, { atOnce, target, slurm: site, signal: interrupt(), record: values.record === true });
    }
    const { reproduce, rowsByTable } = await import('../reproduce.js');
    const { ablation } = await import('../../report/index.js');
    const { runs, rows, failures } = await reproduce(experiments, {
      scale: scale as 'demo' | 'paper',
      atOnce: integer(values['at-once'], 'at-once', 1, 1),
      target,
      slurm: site,
      signal: interrupt(),
      display: null,
      onEvent: print,
    });
    // One table for each table of the paper and data set: rows of different data are not one comparison.
    const sets = [...new Set(rows.map((row) => row.dataset ?? ''))];
    const parts =
      'tables' in study
        ? await rowsByTable(study, { runs, rows })
        : sets.map((dataset) => ({ id: '', dataset, rows: rows.filter((row) => row.dataset === dataset), note: '' }));
    const csv: string[] = [];
    for (const { id, dataset, rows: own, note } of parts) {
      const table = ablation(own);
      print(`${id ? `${id}, ${dataset}. ${note}\n` : ''}${table.toMarkdown()}`);
      csv.push(table.toCsv());
    }
    if (values.csv) fs.writeFileSync(String(values.csv), csv.join('\n'));
    if (failures.length > 0) throw failures[0].error;
  },
});
