/** What the server says at the end of an exec: a Status object, on a channel of its own. */
import { ExecError } from './exec-error.ts';
import { parseObject } from './kube-error.ts';

/** The container or the command is at fault, not what stands between: containerd and others begin with these words. */
const CANNOT_RUN = /OCI runtime exec failed|executable file not found/;

/** The exit code of the command; an ExecError when it was not run, or when the text says neither. */
export function readExecStatus(text: string): number | ExecError {
  const status = parseObject(text);
  if (status?.status === 'Success') return 0;
  if (status?.status !== 'Failure') {
    return new ExecError({
      ...{ kind: 'protocol', retryable: true, started: true },
      message: `The end of the exec is not a Status object: ${JSON.stringify(text.slice(0, 500))}`,
    });
  }
  const message = typeof status.message === 'string' ? status.message : 'the exec failed without a message';
  if (status.reason === 'NonZeroExitCode') {
    const code = exitCodeOf(status.details);
    if (code !== null) return code;
  }
  return new ExecError({ kind: 'refused', message, retryable: !CANNOT_RUN.test(message), started: true });
}

function exitCodeOf(details: unknown): number | null {
  const causes = (details as { causes?: unknown } | null | undefined)?.causes;
  if (!Array.isArray(causes)) return null;
  const cause = (causes as { reason?: unknown; message?: unknown }[]).find((entry) => entry?.reason === 'ExitCode');
  return typeof cause?.message === 'string' && /^\d{1,10}$/.test(cause.message) ? Number(cause.message) : null;
}
