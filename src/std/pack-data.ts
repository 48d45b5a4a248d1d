/** Data as bytes and back: JSON, with bytes, dates and maps in it. What was undefined is left out. */

/** A property of this name marks what JSON has no word for; data of ours has none. */
const KIND = '$';

export function packData(data: unknown): Buffer {
  return Buffer.from(JSON.stringify(wrap(data)));
}

/** Throws SyntaxError when the bytes are not what `packData` gives. */
export function unpackData(bytes: Uint8Array): unknown {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'), (_key, value) =>
    isRecord(value) && typeof value[KIND] === 'string' ? unwrap(value[KIND], value.value) : value,
  );
}

function wrap(data: unknown): unknown {
  if (data instanceof Uint8Array) {
    const { buffer, byteOffset, byteLength } = data;
    return { [KIND]: 'bytes', value: Buffer.from(buffer, byteOffset, byteLength).toString('base64') };
  }
  if (data instanceof Date) return { [KIND]: 'date', value: data.toISOString() };
  if (data instanceof Map) return { [KIND]: 'map', value: [...data].map(wrap) };
  if (Array.isArray(data)) return data.map(wrap);
  if (!isRecord(data)) return data;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, wrap(value)]));
}

function unwrap(kind: string, value: unknown): unknown {
  if (kind === 'bytes') return Buffer.from(String(value), 'base64');
  if (kind === 'date') return new Date(String(value));
  if (kind === 'map') return new Map(value as [unknown, unknown][]);
  throw new SyntaxError(`Data cannot be of kind ${kind}.`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
