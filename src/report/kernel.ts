// What the voxelbook kernel gives to library code that shows something live.
import type { MimeBundle } from './display.js';

/** A control of the page, as the kernel makes it. */
export interface Control {
  readonly value: unknown;
}
/** As far as the library uses it. */
export interface Services {
  /** Shows a bundle; gives back how to replace it. */
  displayBundle(data: MimeBundle): { update(data: MimeBundle): void };
  /** Aborts when the running cell is stopped. */
  readonly signal: AbortSignal;
  widget(esm: string, state: Record<string, unknown>, options: { show(bundle: MimeBundle): void }): unknown;
  select(options: readonly string[], about: { label: string }): Control;
  check(about: { value: boolean; label: string }): Control;
  interact(
    controls: Record<string, Control>,
    draw: (values: Record<string, unknown>) => unknown,
    options: { show(bundle: MimeBundle): void },
  ): unknown;
}

/** The kernel's services; undefined under any other kernel and outside of notebooks. */
export const services = (): Services | undefined =>
  (globalThis as Record<symbol, unknown>)[Symbol.for('Jupyter.kernel')] as Services | undefined;
