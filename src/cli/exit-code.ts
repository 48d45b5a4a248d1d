/** What a command ends with; `slipway help` prints this table. */
export const EXIT = {
  done: 0,
  error: 1,
  /** The build was cancelled, or Ctrl-C ended the watching of one. */
  cancelled: 2,
  buildFailed: 3,
  /** The token is missing, wrong, or does not allow it. */
  notAllowed: 4,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A command that cannot go on, said to a person: printed without a stack. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: ExitCode;
  /** Stable, for `--json`. */
  readonly code: string;
  /** What to do about it, one line each. */
  readonly hints: readonly string[];

  constructor(
    message: string,
    options: { readonly exitCode?: ExitCode; readonly code?: string; readonly hints?: readonly string[] } = {},
  ) {
    super(message);
    this.exitCode = options.exitCode ?? EXIT.error;
    this.code = options.code ?? 'ERROR';
    this.hints = options.hints ?? [];
  }
}
