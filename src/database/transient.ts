/**
 * Errors that say nothing about the statement: the connection was lost, Postgres restarts, is a standby that nobody has
 * promoted yet or has no disk or memory left, two writers collided.
 */

const TRANSIENT_SQLSTATES = /^(08|25006|25P0[34]|40001|40P01|53100|53200|53300|55P03|57014|57P0)/;
const TRANSIENT_SYSTEM_ERRORS = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
]);
const TRANSIENT_MESSAGES =
  /Connection terminated|connection timeout|^timeout expired$|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Client was closed/i;

export function isTransient(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string' && (TRANSIENT_SQLSTATES.test(code) || TRANSIENT_SYSTEM_ERRORS.has(code))) return true;
  return TRANSIENT_MESSAGES.test(error.message);
}

export function isUniqueViolation(error: unknown, constraint: string): boolean {
  const { code, constraint: name } = error as { code?: unknown; constraint?: unknown };
  return code === '23505' && name === constraint;
}
