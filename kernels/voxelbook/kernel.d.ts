// Types of the module 'voxelbook/kernel', which a cell may import when it runs in this kernel.

/** Aborted when Stop is pressed while the current cell runs. Hand it to long work: `train.run(…, { signal })`. */
export declare const signal: AbortSignal;

/** Shows a value as the last value of a cell would be shown; `update` replaces what is shown. */
export declare function display(value: unknown): Promise<{ update(value: unknown): Promise<void> }>;

/** Shows one output given in several forms by mime type; `update` replaces it. */
export declare function displayBundle(
  data: Record<string, unknown>,
  metadata?: Record<string, unknown>,
): { update(data: Record<string, unknown>, metadata?: Record<string, unknown>): void };

/** Empties the cell's output; with `wait`, only when the next output arrives. */
export declare function clearOutput(wait?: boolean): void;

/** Asks the person for a line of text. */
export declare function input(prompt?: string, options?: { password?: boolean }): Promise<string>;

/** A channel to a widget in the page (Jupyter's "comm"). */
export interface Comm {
  readonly id: string;
  readonly target: string;
  onMessage?: (data: any, extra: { metadata: Record<string, unknown>; buffers: Uint8Array[] }) => void;
  onClose?: (data: any) => void;
  send(data: unknown, extra?: { metadata?: Record<string, unknown>; buffers?: Uint8Array[] }): void;
  close(data?: unknown): void;
}
/** Opens a channel from here. */
export declare function openComm(
  target: string,
  data?: unknown,
  extra?: { metadata?: Record<string, unknown>; buffers?: Uint8Array[] },
): Comm;
/** Answers channels of this name opened by the page. */
export declare function onComm(
  target: string,
  handler: (comm: Comm, data: any, extra: { metadata: Record<string, unknown>; buffers: Uint8Array[] }) => void,
): void;
