import { answerJobs } from '../base/poolWorker.js';
import { type PreprocessJob, preprocessJob } from './run.js';

answerJobs<PreprocessJob>(preprocessJob);
