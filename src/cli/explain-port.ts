import { CliError } from './exit-code.ts';

/** Throws a CliError that says what to do about a port that cannot be opened, or the error as it is. */
export function explainPort(
  error: unknown,
  { host, port, option }: { host: string; port: number; option: string },
): never {
  const { code } = error as NodeJS.ErrnoException;
  const place = `${host}:${port}`;
  if (code === 'EADDRINUSE') {
    throw new CliError(`${place} is in use by another program.`, {
      code,
      hints: [`Choose another port with ${option}, or 0 for a free one.`],
    });
  }
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    throw new CliError(`Cannot listen on ${place} (${code}).`, {
      code,
      hints: [`Choose another address or port with SLIPWAY_HOST and ${option}.`],
    });
  }
  throw error;
}
