// TensorFlow.js keeps one engine per process; a stop in the middle of its work must not spoil the session.

const engine = () => globalThis._tfengine;
let refusal;

/** While a reason is given, every tfjs operation throws it: training that a stopped cell awaited ends at its next step. */
export function refuseWork(reason) {
  refusal = reason;
  const e = engine();
  if (!e || reason === undefined || Object.hasOwn(e, 'runKernelFunc')) return;
  // runKernel calls runKernelFunc; custom gradients call it directly.
  const original = e.runKernelFunc;
  e.runKernelFunc = function (...args) {
    if (refusal) throw refusal;
    return original.apply(this, args);
  };
}

/** After a hard stop scopes, tape and depth counters are as the cut work left them: back to an idle engine. */
export function repairEngine() {
  const e = engine();
  const state = e?.state;
  if (!state) return;
  while (state.scopeStack.length > 0) e.endScope();
  state.gradientDepth = 0;
  state.kernelDepth = 0;
  state.activeTape = null;
}
