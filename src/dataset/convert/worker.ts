import { answerJobs } from '../../base/poolWorker.js';
import { type ConvertJob, convertCase } from './job.js';

answerJobs<ConvertJob>((job, stage) => convertCase(job, stage));
