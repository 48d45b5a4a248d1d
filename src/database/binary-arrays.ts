/**
 * Arrays as Postgres keeps them, for statements that write many rows: `unnest($1::uuid[], $2::jsonb[])`. As text each quote of
 * a document would be escaped here and unescaped there, and a JSON array of rows would be parsed twice.
 */

const OIDS = { uuid: 2950, text: 25, integer: 23, jsonb: 3802, timestamptz: 1184 } as const;
const HEADER = 20;
/** Postgres counts from 2000 on, in microseconds. */
const EPOCH_MS = Date.UTC(2000, 0, 1);
const JSONB_VERSION = 1;

export function uuidArray(values: readonly (string | null)[]): Buffer {
  return encode('uuid', values, {
    size: () => 16,
    write(bytes, uuid, at) {
      if (bytes.write(uuid.replaceAll('-', ''), at, 'hex') !== 16 || uuid.length !== 36)
        throw new Error(`${uuid} is not a UUID`);
    },
  });
}

export function textArray(values: readonly (string | null)[]): Buffer {
  return encode('text', values, {
    size: (text) => Buffer.byteLength(text),
    write: (bytes, text, at) => bytes.write(text, at),
  });
}

/** Of JSON texts. */
export function jsonbArray(texts: readonly string[]): Buffer {
  return encode('jsonb', texts, {
    size: (text) => 1 + Buffer.byteLength(text),
    write: (bytes, text, at) => bytes.write(text, bytes.writeUInt8(JSONB_VERSION, at)),
  });
}

export function integerArray(values: readonly (number | null)[]): Buffer {
  return encode('integer', values, { size: () => 4, write: (bytes, value, at) => bytes.writeInt32BE(value, at) });
}

export function timeArray(values: readonly (Date | null)[]): Buffer {
  return encode('timestamptz', values, {
    size: () => 8,
    write: (bytes, value, at) => bytes.writeBigInt64BE(BigInt(value.getTime() - EPOCH_MS) * 1_000n, at),
  });
}

interface Codec<T> {
  readonly size: (value: T) => number;
  /** Into exactly as many bytes, at this place. */
  readonly write: (bytes: Buffer, value: T, at: number) => void;
}

/** One dimension, from 1 on; a null has the length -1. Written in one piece: many small ones are garbage. */
function encode<T>(type: keyof typeof OIDS, values: readonly (T | null)[], { size, write }: Codec<T>): Buffer {
  const sizes = values.map((value) => (value === null ? -1 : size(value)));
  const bytes = Buffer.allocUnsafe(sizes.reduce((sum, length) => sum + 4 + Math.max(0, length), HEADER));
  let at = 0;
  for (const word of [1, 1, OIDS[type], values.length, 1]) at = bytes.writeInt32BE(word, at);
  for (const [index, value] of values.entries()) {
    const length = sizes[index] as number;
    at = bytes.writeInt32BE(length, at);
    if (value === null) continue;
    write(bytes, value, at);
    at += length;
  }
  return bytes;
}
