// A scoring thread: keeps the request of the volumes it works on and scores one class per message.
import { parentPort } from 'node:worker_threads';
import type { Answer, Job } from './threads.js';
import { type Request, scoreClass } from './volume.js';

// Two volumes are in work at most; older requests are let go.
const requests = new Map<number, Request>();

parentPort?.on('message', (job: Job) => {
  let answer: Answer;
  try {
    if (job.request) {
      requests.set(job.volume, job.request);
      if (requests.size > 4) requests.delete(requests.keys().next().value!);
    }
    answer = { id: job.id, score: scoreClass(requests.get(job.volume)!, job.name) };
  } catch (error) {
    answer = { id: job.id, error: (error as Error).message };
  }
  parentPort!.postMessage(answer);
});
