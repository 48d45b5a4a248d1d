/** Text that only the holder of the master key can read, and only where it belongs. */
import { hkdfSync, type KeyObject } from 'node:crypto';
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose';
import { UnavailableError } from '../errors.ts';
import type { MasterKey } from './master-key.ts';

const ALGORITHM = 'dir';
const ENCRYPTION = 'A256GCM';
const PURPOSE = 'seal';
const KEY_BYTES = 32;

export interface SealInput {
  readonly text: string;
  /** What the text belongs to, such as `projectId|name`. Not secret. */
  readonly context: string;
}

export interface OpenInput {
  readonly sealed: string;
  /** It opens when it was sealed for one of these. */
  readonly contexts: readonly string[];
}

/** The keys of this process. */
export interface KeySource {
  /** Newest first. */
  readonly keys: readonly MasterKey[];
  /** Null when this process does not have it. */
  find(id: string): Promise<MasterKey | null>;
}

/** 32 bytes that depend on the key and on `purpose`; knowing those of one purpose tells nothing of another's. */
export function deriveKey(key: KeyObject, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, '', `slipway ${purpose}`, KEY_BYTES));
}

/** A JWE in compact form, whose header names the key and holds the context. */
export async function seal(masterKey: MasterKey, input: SealInput): Promise<string> {
  return new CompactEncrypt(Buffer.from(input.text, 'utf8'))
    .setProtectedHeader({ alg: ALGORITHM, enc: ENCRYPTION, kid: masterKey.id, context: input.context })
    .encrypt(deriveKey(masterKey.secret, PURPOSE));
}

/**
 * The text again. Throws UnavailableError when it was sealed with a master key that this process does not have, for
 * another context, or was changed since.
 */
export async function open(source: KeySource, input: OpenInput): Promise<string> {
  const keyId = keyIdOf(input.sealed);
  const key = keyId === null ? null : await source.find(keyId);
  if (keyId !== null && key === null) {
    const ours = source.keys.map(({ id }) => id).join(', ');
    throw new UnavailableError(
      `This secret was sealed with the master key ${keyId}, and this process has ${ours}. Start it with that key, or set the secret again.`,
    );
  }
  const text = key && (await decrypt(key, input));
  if (text === null) {
    throw new UnavailableError('This stored secret was changed, or belongs to something else. Set it again.');
  }
  return text;
}

function keyIdOf(sealed: string): string | null {
  try {
    return decodeProtectedHeader(sealed).kid ?? null;
  } catch {
    return null;
  }
}

async function decrypt(masterKey: MasterKey, input: OpenInput): Promise<string | null> {
  try {
    const { plaintext, protectedHeader } = await compactDecrypt(input.sealed, deriveKey(masterKey.secret, PURPOSE), {
      keyManagementAlgorithms: [ALGORITHM],
      contentEncryptionAlgorithms: [ENCRYPTION],
      maxDecompressedLength: 0,
    });
    const { context } = protectedHeader;
    const belongs = typeof context === 'string' && input.contexts.includes(context);
    return belongs ? Buffer.from(plaintext).toString('utf8') : null;
  } catch {
    return null;
  }
}
