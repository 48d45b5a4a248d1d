/** Is this JSON that can be stored? */

const MAX_DEPTH = 64;

/** Says in one sentence why a value cannot be kept as jsonb; null when it can. */
export function jsonProblem(value: unknown, maxBytes: number): string | null {
  const found = problemOf(value ?? null, MAX_DEPTH);
  if (found) return found;
  return Buffer.byteLength(JSON.stringify(value ?? null)) > maxBytes
    ? `must be at most ${maxBytes} bytes of JSON`
    : null;
}

function problemOf(value: unknown, depth: number): string | null {
  if (depth < 0) return `must be nested at most ${MAX_DEPTH} deep`;
  if (typeof value === 'string') return textProblem(value);
  if (typeof value === 'number') return Number.isFinite(value) ? null : 'must hold only finite numbers';
  if (value === null || typeof value === 'boolean') return null;
  if (typeof value !== 'object') return 'must be JSON';
  const members = Array.isArray(value) ? value : Object.entries(value).flat();
  for (const member of members) {
    const problem = problemOf(member, depth - 1);
    if (problem) return problem;
  }
  return null;
}

function textProblem(text: string): string | null {
  if (text.includes('\0')) return 'must not contain NUL';
  return text.isWellFormed() ? null : 'must be well-formed Unicode';
}
