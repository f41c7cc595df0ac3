// A case to convert, as plain data: the worker understands the published folder once and finds the case in it.
import { FaultList } from '../../base/errors.js';
import { descriptorIfAny } from '../descriptor.js';
import { anyMsd, converters, type Source } from './converters.js';
import type { SourceCase } from './source.js';
import { writeCase } from './writeCase.js';

export interface ConvertJob {
  id: string;
  /** Name of the public set. */
  name: string;
  source: string;
  /** The raw folder that is being made. */
  folder: string;
  test: boolean;
}

/** Looks at a published folder without reading voxels. */
export function readSource(name: string, source: string, faults: FaultList): Source {
  return name === anyMsd.name ? anyMsd.read(source, faults, undefined) : converters[name](source, faults, descriptorIfAny(name));
}

let known: { key: string; source: Source; cases: Map<string, SourceCase> } | undefined;

const keyOf = (id: string, test: boolean) => `${test ? 'test' : 'training'} ${id}`;

export function convertCase(job: ConvertJob, stage: (name: string) => void): void {
  const key = `${job.name} ${job.source}`;
  if (known?.key !== key) {
    stage('look');
    const faults = new FaultList();
    const source = readSource(job.name, job.source, faults);
    faults.throwIfAny(`${job.source} changed`);
    known = { key, source, cases: new Map(source.cases.map((c) => [keyOf(c.id, c.test ?? false), c])) };
  }
  writeCase(job.folder, known.cases.get(keyOf(job.id, job.test))!, known.source.json.file_ending, stage);
}
