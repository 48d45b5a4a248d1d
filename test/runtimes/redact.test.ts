import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeTokenText } from '../../src/auth/token-text.ts';
import { createRedactor, createSecretSearch, redactAll } from '../../src/runtimes/redact.ts';
import { createLineSplitter } from '../../src/std/line-splitter.ts';

const TOKEN = 'ghp_x"Y\\z/+ä 1234567890';

const json = (text: string) => JSON.stringify(text).slice(1, -1);
const base64 = (text: string) => Buffer.from(text).toString('base64');

function asciiJson(text: string): string {
  return json(text).replace(/[\x7f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** How text can be spelled in output; the secret stands somewhere inside of what is encoded. */
const ENCODINGS: Readonly<Record<string, (text: string) => string>> = {
  raw: (text) => text,
  base64,
  base64url: (text) => Buffer.from(text).toString('base64url'),
  'URL-encoded': encodeURIComponent,
  'URL-encoded as by RFC 3986': (text) =>
    encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`),
  'URL-encoded in lower case': (text) => encodeURIComponent(text).replace(/%../g, (hex) => hex.toLowerCase()),
  'form-encoded': (text) => new URLSearchParams([['', text]]).toString().slice(1),
  'JSON-escaped': json,
  'JSON-escaped twice': (text) => json(json(text)),
  'JSON-escaped to ASCII': asciiJson,
  'JSON-escaped with slashes': (text) => asciiJson(text).replaceAll('/', '\\/'),
  'in hexadecimal': (text) => Buffer.from(text).toString('hex'),
};

const secret = fc.string({ unit: 'grapheme', minLength: 8, maxLength: 80 });
const around = fc.string({ unit: 'grapheme', maxLength: 20 });

/** What somebody can decode from pieces of base64 without knowing where its groups begin. */
function decodings(pieces: readonly string[]): string[] {
  return pieces.flatMap((piece) =>
    ['', 'A', 'AA', 'AAA'].map((shift) => Buffer.from(shift + piece, 'base64').toString('latin1')),
  );
}

describe('redactor', () => {
  test('without secrets gives the line back', () => {
    expect(createRedactor([])('a line')).toBe('a line');
  });

  test('keeps the rest of the line', () => {
    const redact = createRedactor([TOKEN, 'another-secret']);
    expect(redact(`a ${TOKEN} b another-secret${TOKEN} c`)).toBe('a [redacted] b [redacted][redacted] c');
  });

  test('takes the longer of two secrets that begin alike', () => {
    expect(createRedactor(['password', 'password-and-more'])('password-and-more')).toBe('[redacted]');
  });

  test('knows every token of Slipway', () => {
    const token = makeTokenText();
    expect(createRedactor([])(`a ${token} b`)).toBe('a [redacted] b');
  });

  test('redacts every text of a value, and nothing else of it', () => {
    const at = new Date(0);
    const value = { a: `x ${TOKEN}`, list: [1, null, { [TOKEN]: TOKEN }], at };
    expect(redactAll(createRedactor([TOKEN]), value)).toEqual({
      a: 'x [redacted]',
      list: [1, null, { [TOKEN]: '[redacted]' }],
      at,
    });
  });

  /** Bytes in pieces, cut anywhere, also within a character. */
  const cuts = fc.array(fc.nat({ max: 40 }), { maxLength: 12 });
  const piecesOf = (bytes: Buffer, lengths: readonly number[]) => {
    const ends = lengths.map((_, index) => lengths.slice(0, index + 1).reduce((sum, length) => sum + length, 0));
    return [0, ...ends].map((start, index) => bytes.subarray(start, ends[index]));
  };

  test.each(Object.keys(ENCODINGS))('lets nothing through for any chunking of the output: %s', (name) => {
    const encode = ENCODINGS[name] as (text: string) => string;
    fc.assert(
      fc.property(fc.array(secret, { minLength: 1, maxLength: 3 }), around, cuts, (secrets, rest, lengths) => {
        const redact = createRedactor(secrets);
        const printed = secrets.map((one) => encode(one)).join(`\n${rest}\n`);
        const splitter = createLineSplitter(1024 * 1024);
        const lines = piecesOf(Buffer.from(printed), lengths).flatMap((piece) => splitter.push(piece));
        const last = splitter.end();
        const shown = [...lines, ...(last ? [last] : [])].map(({ text }) => redact(text)).join('\n');
        // Raw, a secret of several lines is known by its lines.
        const forms = secrets.flatMap((one) => encode(one).split(/\r\n|\r|\n/)).filter((form) => form.length >= 8);
        for (const form of forms) expect(shown.includes(form)).toBe(false);
      }),
    );
  });

  test.each(Object.keys(ENCODINGS))('finds a secret in bytes for any chunking: %s', async (name) => {
    const encode = ENCODINGS[name] as (text: string) => string;
    await fc.assert(
      fc.asyncProperty(secret, around, around, cuts, async (one, before, after, lengths) => {
        const bytes = Buffer.from(`${before}${encode(one)}${after}`);
        async function* pieces() {
          yield* piecesOf(bytes, lengths);
        }
        expect(await createSecretSearch([one])(pieces())).toBe(true);
      }),
    );
  });

  test('finds nothing where there is nothing', async () => {
    async function* pieces() {
      yield Buffer.from('ghp_x"Y and other half-secrets');
    }
    expect(await createSecretSearch([TOKEN])(pieces())).toBe(false);
  });

  test('refuses short secrets without telling them', () => {
    expect(() => createRedactor(['long enough', 'hunter2'])).toThrow(RangeError);
    expect(() => createRedactor(['hunter2'])).not.toThrow('hunter2');
  });

  test('knows each line of a secret with several lines, and all of it in one line of JSON', () => {
    const key = '-----BEGIN KEY-----\nMIIEvQIBADANBg\r\nshort\nkqhkiG9w0BAQEF\n';
    const redact = createRedactor([key]);
    expect(redact('  MIIEvQIBADANBg')).toBe('  [redacted]');
    expect(redact('kqhkiG9w0BAQEF')).toBe('[redacted]');
    expect(redact('short')).toBe('short');
    expect(redact(JSON.stringify({ key }))).toBe('{"key":"[redacted]"}');
    expect(redact(base64(`${base64('x')}${key}`))).not.toContain(base64('kqhkiG9w').slice(0, -2));
  });

  test("knows that some encoders also encode !'()*", () => {
    expect(createRedactor(["it's(me)!*"])('%69t?it%27s%28me%29%21%2A')).toBe('%69t?[redacted]');
  });

  test.each(Object.keys(ENCODINGS))('finds any secret, %s, anywhere in a line', (name) => {
    const encode = ENCODINGS[name] as (text: string) => string;
    fc.assert(
      fc.property(fc.array(secret, { minLength: 1, maxLength: 4 }), around, around, (secrets, before, after) => {
        const redact = createRedactor(secrets);
        for (const one of secrets) {
          const line = redact(encode(`${before}${one}${after}`));
          expect(line).toContain('[redacted]');
          expect(line.includes(encode(one))).toBe(false);
        }
      }),
    );
  });

  test.each(['base64', 'base64url'])('what is left of %s does not decode to the secret', (name) => {
    const encode = ENCODINGS[name] as (text: string) => string;
    fc.assert(
      fc.property(secret, around, around, (one, before, after) => {
        const pieces = createRedactor([one])(encode(`${before}${one}${after}`)).split('[redacted]');
        const bytes = Buffer.from(one).toString('latin1');
        expect(decodings(pieces).some((decoded) => decoded.includes(bytes))).toBe(false);
      }),
    );
  });

  test('is linear in the length of the line', () => {
    const redact = createRedactor([`${'a'.repeat(40)}b`, TOKEN]);
    const time = (length: number) => {
      const line = 'a'.repeat(length);
      const start = performance.now();
      redact(line);
      return performance.now() - start;
    };
    time(1e6);
    process.stdout.write(`redact 1 MB: ${time(1e6).toFixed(1)} ms, 16 MB: ${time(16e6).toFixed(1)} ms\n`);
  });
});
