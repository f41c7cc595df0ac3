import { answerJobs } from '../base/poolWorker.js';
import { type CheckJob, caseFindings } from './caseFindings.js';

answerJobs<CheckJob>((job, stage) => {
  stage('read');
  return caseFindings(job);
});
