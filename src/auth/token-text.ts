/**
 * What a token looks like: `slipway_`, 256 random bits in 43 characters, and a checksum of 6. The prefix lets secret
 * scanners find it; the checksum lets them, and us, tell a token from something that only looks like one. The token with
 * which a worker enrols begins with `slipway_enrol_`, and is of no other use.
 */
import { hash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const RANDOM_BYTES = 32;
const RANDOM_LENGTH = 43;
const CHECKSUM_LENGTH = 6;
const SHAPE = new RegExp(`^[0-9A-Za-z]{${RANDOM_LENGTH + CHECKSUM_LENGTH}}$`);

type Prefix = 'slipway_' | 'slipway_enrol_';

export function makeTokenText(): string {
  return tokenTextOf('slipway_', randomBytes(RANDOM_BYTES));
}

export function makeEnrolmentText(): string {
  return tokenTextOf('slipway_enrol_', randomBytes(RANDOM_BYTES));
}

/** `bytes`: 32 that nobody can guess. */
export function tokenTextOf(prefix: Prefix, bytes: Buffer): string {
  const random = prefix + base62(BigInt(`0x${bytes.toString('hex')}`), RANDOM_LENGTH);
  return random + checksum(random);
}

/** Could this be a token of ours? Costs no look-up. */
export function isTokenText(text: string, prefix: Prefix = 'slipway_'): boolean {
  const rest = text.startsWith(prefix) ? text.slice(prefix.length) : '';
  return SHAPE.test(rest) && text.endsWith(checksum(text.slice(0, -CHECKSUM_LENGTH)));
}

/** SHA-256: what the database has in place of the token. */
export function hashToken(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}

function checksum(text: string): string {
  return base62(BigInt(crc32(text)), CHECKSUM_LENGTH);
}

function base62(value: bigint, length: number): string {
  let text = '';
  for (let rest = value; rest > 0n; rest /= 62n) text = DIGITS.charAt(Number(rest % 62n)) + text;
  return text.padStart(length, DIGITS.charAt(0));
}
