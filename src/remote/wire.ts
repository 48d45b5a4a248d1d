/** Answers cross the wire as JSON with a list of where its dates and bytes are, so that no content can be taken for one. */

interface Envelope {
  readonly value: unknown;
  readonly dates?: readonly Path[];
  readonly bytes?: readonly Path[];
}

type Path = readonly (string | number)[];

export function toWire(answer: unknown): Envelope {
  const dates: Path[] = [];
  const bytes: Path[] = [];
  const walk = (value: unknown, path: Path): unknown => {
    if (value instanceof Date) {
      dates.push(path);
      return value.toISOString();
    }
    if (Buffer.isBuffer(value)) {
      bytes.push(path);
      return value.toString('base64');
    }
    if (Array.isArray(value)) return value.map((item, index) => walk(item, [...path, index]));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, [...path, key])]));
  };
  return { value: walk(answer, []), dates, bytes };
}

export function fromWire<T>(envelope: unknown): T {
  const { value, dates = [], bytes = [] } = envelope as Envelope;
  const root = { value };
  for (const path of dates) change(root, ['value', ...path], (text) => new Date(text));
  for (const path of bytes) change(root, ['value', ...path], (text) => Buffer.from(text, 'base64'));
  return root.value as T;
}

function change(root: object, path: Path, convert: (text: string) => unknown): void {
  let place = root as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) place = place[key] as Record<string | number, unknown>;
  const last = path.at(-1) ?? '';
  place[last] = convert(String(place[last]));
}
