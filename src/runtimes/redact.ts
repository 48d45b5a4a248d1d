/** Replaces every registered secret in one complete line by `[redacted]`. */
export type Redact = (line: string) => string;

/** Characters. A shorter secret would blank out ordinary text. */
export const MIN_SECRET_LENGTH = 8;

const MARKER = '[redacted]';
/** A token of Slipway itself, whoever has it: token-text.ts. */
const OWN_TOKEN = 'slipway_(?:enrol_)?[0-9A-Za-z]{49}';
const OWN_TOKEN_LENGTH = 63;

/**
 * Knows each secret as it is, and as base64 (at any alignment inside a longer text), base64url, hexadecimal,
 * URL-encoded and JSON-escaped (also twice: agents print JSON that holds JSON; and with more escapes than JSON asks for).
 * Of a secret with several lines it also knows each line of at least `MIN_SECRET_LENGTH` characters. Tokens of Slipway
 * are always known. Takes time linear in the length of the line.
 *
 * Throws a RangeError, which does not name the secret, when one is shorter than `MIN_SECRET_LENGTH`.
 */
export function createRedactor(secrets: readonly string[]): Redact {
  if (secrets.some((secret) => secret.length < MIN_SECRET_LENGTH)) {
    throw new RangeError(`A secret must have at least ${MIN_SECRET_LENGTH} characters, or it cannot be redacted.`);
  }
  const spellings = new Set(secrets.flatMap(parts).flatMap(spell));
  // Longest first: the alternation takes the first that fits.
  const alternatives = [...spellings].sort((a, b) => b.length - a.length).map(escapeRegExp);
  const pattern = new RegExp([...alternatives, OWN_TOKEN].join('|'), 'g');
  return (line) => line.replace(pattern, MARKER);
}

/** The same value with every text in it redacted; names of members stay as they are. */
export function redactAll<T>(redact: Redact, value: T): T {
  if (typeof value === 'string') return redact(value) as T;
  if (Array.isArray(value)) return value.map((item) => redactAll(redact, item)) as T;
  if (value === null || typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, redactAll(redact, member)])) as T;
}

/** Says whether bytes hold any of the secrets in any of their spellings, wherever the pieces are cut. */
export function createSecretSearch(secrets: readonly string[]) {
  const spellings = [...new Set(secrets.flatMap(parts).flatMap(spell))].map((text) =>
    Buffer.from(text).toString('latin1'),
  );
  const longest = Math.max(OWN_TOKEN_LENGTH, ...spellings.map(({ length }) => length));
  const pattern = new RegExp([...spellings.map(escapeRegExp), OWN_TOKEN].join('|'));
  return async (pieces: AsyncIterable<Uint8Array>): Promise<boolean> => {
    let end = '';
    for await (const piece of pieces) {
      const text = end + Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength).toString('latin1');
      if (pattern.test(text)) return true;
      end = text.slice(1 - longest);
    }
    return false;
  };
}

/** The secret as a whole and, as output is redacted line by line, each of its lines. */
function parts(secret: string): string[] {
  const whole = secret.toWellFormed();
  const lines = whole.split(/\r\n|\r|\n/).filter((line) => line.length >= MIN_SECRET_LENGTH);
  return [whole, ...lines];
}

function spell(secret: string): string[] {
  const json = JSON.stringify(secret).slice(1, -1);
  const hex = Buffer.from(secret).toString('hex');
  return [
    ...[secret, json, JSON.stringify(json).slice(1, -1), ...asciiJson(json), hex, hex.toUpperCase()],
    ...urlEncodings(secret),
    ...base64Encodings(secret),
  ];
}

/** As Python and PHP write it: only ASCII, the latter also with escaped slashes. */
function asciiJson(json: string): string[] {
  const ascii = json.replace(/[\x7f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return [ascii, ascii.replaceAll('/', '\\/'), json.replaceAll('/', '\\/')];
}

function urlEncodings(secret: string): string[] {
  const component = encodeURIComponent(secret);
  // Encoders differ in what they do with !'()* and with spaces, and in the case of the hex digits.
  const strict = component.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  const form = new URLSearchParams([['', secret]]).toString().slice(1);
  return [component, strict, form].flatMap((url) => [url, url.replace(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase())]);
}

/**
 * Inside a longer text a secret begins at the first, second or third byte of a base64 group. The characters at both
 * ends that also depend on its neighbours are left off.
 */
function base64Encodings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [0, 1, 2].flatMap((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
    const first = Math.ceil((offset * 8) / 6);
    const last = Math.floor(((offset + bytes.length) * 8) / 6);
    const stable = encoded.slice(first, last);
    return [stable, stable.replaceAll('+', '-').replaceAll('/', '_')];
  });
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
