export const root: string;
export const isCheckout: boolean;
export interface Places {
  home: string;
  engine: string;
  binding: string;
  tensorflow: string;
  native: string;
  venv: string;
  python: string;
  state: string;
  work: string;
}
export function places(): Places;
export function packageFolder(name: string): string | undefined;
export function commandText(name: string): string;
