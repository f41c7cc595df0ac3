// Errors as data first, text second: what was given, what was expected, what to do next; all faults of one input at once.

/** One thing wrong with an input. `path` names the place (`patchSize[0]`, `imagesTr/case_0001_0000.nii.gz`). */
export interface Fault {
  code: string;
  path: string;
  given: string;
  expected: string;
  fix: string;
}

/** Thrown for every fault a person can mend. `faults` is the data; the message is made of it. */
export class VoxelbookError extends Error {
  readonly faults: readonly Fault[];

  constructor(what: string, faults: Fault | readonly Fault[]) {
    const list = Array.isArray(faults) ? (faults as readonly Fault[]) : [faults as Fault];
    super([what, ...list.map((f) => `  ${f.path}: ${f.given}; expected ${f.expected}. ${f.fix}`)].join('\n'));
    this.name = 'VoxelbookError';
    this.faults = list;
  }

  /** The code of the first fault, for programs. */
  get code(): string {
    return this.faults[0]?.code ?? 'unknown';
  }
}

/** Collects faults while an input is checked, and throws them together. */
export class FaultList {
  readonly faults: Fault[] = [];

  add(code: string, path: string, given: string, expected: string, fix: string): void {
    this.faults.push({ code, path, given, expected, fix });
  }

  /** Throws when anything was added. */
  throwIfAny(what: string): void {
    if (this.faults.length > 0) throw new VoxelbookError(what, this.faults);
  }
}
