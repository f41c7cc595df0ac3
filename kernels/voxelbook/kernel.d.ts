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

/** A control of `interact`; `T` is what its value is. */
export interface Control<T> {
  readonly kind: 'slider' | 'select' | 'check';
  readonly value: T;
}
/**
 * A slider; begins in the middle unless told.
 * @throws RangeError unless min ≤ value ≤ max and step is above 0
 */
export declare function slider(about: {
  min?: number;
  max: number;
  step?: number;
  value?: number;
  label?: string;
}): Control<number>;
/**
 * One of several; begins with the first unless told.
 * @throws RangeError when there are no options or `value` is none of them
 */
export declare function select<const T extends string | number>(
  options: readonly T[],
  about?: { value?: NoInfer<T>; label?: string },
): Control<T>;
/** On or off. */
export declare function check(about?: { value?: boolean; label?: string }): Control<boolean>;

/** The values of controls, by name. */
export type Values<C> = { [K in keyof C]: C[K] extends Control<infer T> ? T : never };
/**
 * Shows controls, and beneath them what `draw` makes of their values, again whenever one of them moves:
 * `interact({ z: slider({ max: 31 }) }, ({ z }) => report.view(volume, labels, { at: [z, y, x] }))`.
 * Needs Jupyter with anywidget; elsewhere the first picture stands there.
 */
export declare function interact<C extends Record<string, Control<any>>>(
  controls: C,
  draw: (values: Values<C>) => unknown,
): { readonly values: Values<C>; set(changed: Partial<Values<C>>): Promise<void>; close(): void };

/**
 * Any anywidget (https://anywidget.dev).
 * @param esm text of a module whose default export has `render({ model, el })`
 * @param state what page and cell share; typed arrays reach the page as a DataView of their bytes
 * @param options.still HTML for pages without anywidget
 * @param options.show takes the bundle that stands for it in a cell; by default it is shown at once
 */
export declare function widget<S extends Record<string, unknown>>(
  esm: string,
  state: S,
  options?: {
    css?: string;
    still?: string;
    onChange?: (changed: Partial<S>) => void;
    show?: (bundle: Record<string, unknown>) => void;
  },
): { readonly state: S; set(changed: Partial<S>): void; close(): void };
