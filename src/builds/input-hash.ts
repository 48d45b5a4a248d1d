/** What is kept of an input, so that the same request is known again. */
import { createHash } from 'node:crypto';
import { fingerprint, type Keyring } from '../credentials/keyring.ts';
import { canonicalJson } from '../std/canonical-json.ts';

/** Keyed: an input may hold a password, and a plain hash would let whoever reads the database try out passwords. */
const KEYED = 'hmac-sha256:';

export interface InputHash {
  /** As it is stored. */
  readonly text: string;
  /** Was this stored for the same input? Hashes without a prefix are plain SHA-256, as earlier versions stored them. */
  matches(stored: string | null): boolean;
}

/** Of the normalised input: what makes two requests with one idempotency key the same request. */
export function hashInput(deps: { readonly keyring: Pick<Keyring, 'callbackRoot'> }, input: unknown): InputHash {
  const normalised = canonicalJson(input);
  const text = KEYED + fingerprint(deps.keyring, `idempotency ${normalised}`);
  return {
    text,
    matches: (stored) =>
      stored?.startsWith(KEYED) ? stored === text : stored === createHash('sha256').update(normalised).digest('hex'),
  };
}
