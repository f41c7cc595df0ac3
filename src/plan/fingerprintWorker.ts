import { answerJobs } from '../base/poolWorker.js';
import { caseFingerprint, type FingerprintJob } from './fingerprint.js';

answerJobs<FingerprintJob>((job, stage) => {
  stage('read and draw');
  return caseFingerprint(job);
});
