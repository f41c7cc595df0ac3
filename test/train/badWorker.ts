// A feed worker that makes two good samples and then dies, hangs or throws, as its source's folder says.
import { parentPort, workerData } from 'node:worker_threads';

const { source, now } = workerData as { source: { folder: string }; now: SharedArrayBuffer };
const status = new Uint8Array(now);
let made = 0;
parentPort!.on('message', ({ id }: { id: number }) => {
  const text = Buffer.from('augment\0case_7');
  status.set(text);
  status[text.length] = 10;
  if (++made > 2) {
    if (source.folder === 'exits') process.exit(0);
    if (source.folder === 'hangs') for (;;);
    if (source.folder === 'throws') throw new Error('the sky fell');
    if (source.folder === 'rejects') void Promise.reject(new Error('a promise broke'));
    if (source.folder === 'asks for 100 GB') new Float64Array(1.25e10).fill(1);
  }
  parentPort!.postMessage({ id, caseId: 'case_7' });
});
parentPort!.postMessage({ ready: true });
