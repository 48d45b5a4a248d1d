/** What `doctor` says about one thing. */
export interface Finding {
  /** `warn`: Slipway runs, and something is missing. `fail`: it does not run. */
  readonly level: 'ok' | 'warn' | 'fail';
  readonly name: string;
  readonly message: string;
  /** What to do; null when there is nothing to do. */
  readonly remedy: string | null;
}

export function finding(level: Finding['level'], name: string, message: string, remedy: string | null = null): Finding {
  return { level, name, message, remedy };
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
