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
  return encode('uuid', values.map(toBytes));
}

export function textArray(values: readonly (string | null)[]): Buffer {
  return encode(
    'text',
    values.map((value) => (value === null ? null : Buffer.from(value))),
  );
}

/** Of JSON texts. */
export function jsonbArray(texts: readonly string[]): Buffer {
  return encode(
    'jsonb',
    texts.map((text) => {
      const bytes = Buffer.allocUnsafe(1 + Buffer.byteLength(text));
      bytes[0] = JSONB_VERSION;
      bytes.write(text, 1);
      return bytes;
    }),
  );
}

export function integerArray(values: readonly (number | null)[]): Buffer {
  return encode(
    'integer',
    values.map((value) => {
      if (value === null) return null;
      const bytes = Buffer.allocUnsafe(4);
      bytes.writeInt32BE(value);
      return bytes;
    }),
  );
}

export function timeArray(values: readonly (Date | null)[]): Buffer {
  return encode(
    'timestamptz',
    values.map((value) => {
      if (value === null) return null;
      const bytes = Buffer.allocUnsafe(8);
      bytes.writeBigInt64BE(BigInt(value.getTime() - EPOCH_MS) * 1_000n);
      return bytes;
    }),
  );
}

function toBytes(uuid: string | null): Buffer | null {
  if (uuid === null) return null;
  const bytes = Buffer.from(uuid.replaceAll('-', ''), 'hex');
  if (bytes.length !== 16) throw new Error(`${uuid} is not a UUID`);
  return bytes;
}

/** One dimension, from 1 on; a null has the length -1. */
function encode(type: keyof typeof OIDS, items: readonly (Buffer | null)[]): Buffer {
  let size = HEADER;
  for (const item of items) size += 4 + (item?.length ?? 0);
  const bytes = Buffer.allocUnsafe(size);
  for (const [place, word] of [1, 1, OIDS[type], items.length, 1].entries()) bytes.writeInt32BE(word, place * 4);
  let at = HEADER;
  for (const item of items) {
    at = bytes.writeInt32BE(item?.length ?? -1, at);
    if (item) at += item.copy(bytes, at);
  }
  return bytes;
}
