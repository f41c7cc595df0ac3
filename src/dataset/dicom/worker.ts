import fs from 'node:fs';
import { answerJobs } from '../../base/poolWorker.js';
import { orderDicomSeries, readDicomHeader, readDicomSeg, readDicomSeries, writeVolume } from '../../volume/index.js';
import { exactLabels } from '../convert/exactLabels.js';
import type { CaseJob } from './convert.js';
import type { ScanJob } from './scan.js';

answerJobs<ScanJob | CaseJob>(async (job, stage) => {
  if (job.kind === 'scan') return Promise.all(job.files.map(readDicomHeader));
  stage('images');
  const series = orderDicomSeries(job.headers);
  if (!fs.existsSync(job.image)) writeVolume(job.image, await readDicomSeries(series));
  stage('labels');
  if (!job.label || fs.existsSync(job.label.file)) return null;
  const tables = new Map(job.label.segs.map(({ file, labels }) => [file, labels]));
  const files = job.label.segs.map(({ file }) => file);
  const volume = await readDicomSeg(files, series, (file, number) => tables.get(file)![number]);
  writeVolume(job.label.file, exactLabels(volume, job.label.file));
  return null;
});
