import { answerJobs } from '../base/poolWorker.js';
import { type BesideJob, besideJob } from './beside.js';

answerJobs<BesideJob>(besideJob);
