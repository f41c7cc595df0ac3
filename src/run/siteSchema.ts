// What a site may say of its Slurm: the schema that site.json and `submit` are checked by.
import { z } from 'zod';
import { either, flag, line, list, object, optional, whole } from '../base/schema.js';

/** A value of an option in a job script: nothing that a shell or a comment line could read otherwise. */
const value = () =>
  line(256).regex(/^[\w.,:=+@/%*[\]&|-]+$/, { error: 'letters, digits and . , : = + @ / % * [ ] & | - in one line' });

export const siteSchema = object(
  {
    $schema: optional(line(), 'Where an editor finds the schema'),
    partition: optional(value(), 'Partition of the jobs', { defaultText: "the cluster's", example: 'gpu' }),
    account: optional(value(), 'Account that is charged', { defaultText: 'your own', example: 'my-group' }),
    qos: optional(value(), 'Quality of service', { defaultText: "the account's", example: 'normal' }),
    constraint: optional(value(), 'Features that a node must have', { defaultText: 'none', example: 'a100|h100' }),
    gres: optional(either([z.literal(''), value()], 'devices, or nothing'), 'Devices of a job', {
      defaultText: 'one GPU at paper scale',
      example: 'gpu:1',
    }),
    time: optional(
      line(32).regex(/^(\d+-)?\d+(:\d+){0,2}$/, { error: 'minutes, hours:minutes:seconds or days-hours:minutes:seconds' }),
      'Time limit of one leg; a run that needs longer is started again',
      { unit: 'hours:minutes:seconds', defaultText: "the partition's", example: '24:00:00' },
    ),
    memory: optional(
      either([z.literal(''), line(32).regex(/^\d+[KMGT]?$/)], 'a number with K, M, G or T, or nothing'),
      'Memory of a job',
      {
        defaultText: 'twice the forecast of the run',
        example: '48G',
      },
    ),
    cpus: optional(whole(1, 4096), 'Cores of a job', { defaultText: '1' }),
    atOnce: optional(whole(1, 100000), 'Runs at the same time', { defaultText: 'no limit' }),
    submitLimit: optional(whole(2, 1000000), 'Jobs, waiting and running, that the site lets one person have', {
      defaultText: 'no limit',
    }),
    warningSeconds: optional(whole(1, 86400), 'Time before the limit at which the checkpoint is written', {
      unit: 's',
      default: 120,
    }),
    modules: optional(list(value(), 1, 64, 'modules'), 'Modules that are loaded before the work', {
      defaultText: 'none',
      example: ['cuda/12.4'],
    }),
    scratch: optional(
      line(256).regex(/^[\w./${}-]+$/, { error: 'a folder; $NAME stands for a variable of the job' }),
      "Folder on the node's own disk for temporary files",
      { defaultText: "the node's own", example: '/scratch/$SLURM_JOB_ID' },
    ),
    extra: optional(
      list(line(256).regex(/^--?[A-Za-z][\w-]*(=[\w.,:=+@/%*[\]&|-]+)?$/, { error: 'an option of sbatch' }), 1, 64, 'options'),
      'Further options of sbatch',
      { defaultText: 'none', example: ['--exclusive'] },
    ),
    setup: optional(list(line(), 0, 256, 'lines'), 'Lines of the shell before the work; they run as they stand', {
      defaultText: 'none',
      example: ['ulimit -n 65536'],
    }),
    env: optional(
      z.record(z.string().regex(/^[A-Za-z_]\w*$/, { error: 'the name of a variable' }), line(), { error: 'an object' }),
      'Environment of the jobs besides the submitter’s',
      { defaultText: 'none' },
    ),
    dryRun: optional(flag(), 'Write the scripts, hand in nothing', { default: false }),
    pollMs: optional(whole(10, 3600000), 'How often squeue is asked', { unit: 'ms', default: 5000 }),
  },
  'a site',
);
