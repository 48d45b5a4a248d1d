/** Readers for JSON that another program wrote: a field that is missing or of another type is null, never an error. */

export type JsonFields = Readonly<Record<string, unknown>>;

/** More blocks than this in one message are ignored. */
const MAX_ITEMS = 1000;

export function parseFields(line: string): JsonFields | null {
  try {
    return fieldsOf(JSON.parse(line));
  } catch {
    return null;
  }
}

export function fieldsOf(value: unknown): JsonFields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonFields) : null;
}

/** The objects of a list, at most `MAX_ITEMS`. */
export function itemsOf(value: unknown): JsonFields[] {
  if (!Array.isArray(value)) return [];
  return value
    .slice(0, MAX_ITEMS)
    .map(fieldsOf)
    .filter((item) => item !== null);
}

export function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

export function numberOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
