/** Text that only the holder of the master key can read, and only where it belongs. */
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose';
import { UnavailableError } from '../errors.ts';
import { deriveKey, type MasterKey } from './master-key.ts';

const ALGORITHM = 'dir';
const ENCRYPTION = 'A256GCM';
const PURPOSE = 'seal';

export interface SealInput {
  readonly text: string;
  /** What the text belongs to, such as `projectId|name`. Not secret. */
  readonly context: string;
}

export interface OpenInput {
  readonly sealed: string;
  readonly context: string;
}

/** A JWE in compact form, whose header names the key and holds the context. */
export async function seal(masterKey: MasterKey, input: SealInput): Promise<string> {
  return new CompactEncrypt(Buffer.from(input.text, 'utf8'))
    .setProtectedHeader({ alg: ALGORITHM, enc: ENCRYPTION, kid: masterKey.id, context: input.context })
    .encrypt(deriveKey(masterKey, PURPOSE));
}

/**
 * The text again. Throws UnavailableError when it was sealed with another master key, for another context, or was
 * changed since.
 */
export async function open(masterKey: MasterKey, input: OpenInput): Promise<string> {
  const keyId = keyIdOf(input.sealed);
  if (keyId !== null && keyId !== masterKey.id) {
    throw new UnavailableError(
      `This secret was sealed with the master key ${keyId}, but the one in use is ${masterKey.id}. Start Slipway with the earlier key, or set the secret again.`,
    );
  }
  const text = await decrypt(masterKey, input);
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
    const { plaintext, protectedHeader } = await compactDecrypt(input.sealed, deriveKey(masterKey, PURPOSE), {
      keyManagementAlgorithms: [ALGORITHM],
      contentEncryptionAlgorithms: [ENCRYPTION],
      maxDecompressedLength: 0,
    });
    return protectedHeader.context === input.context ? Buffer.from(plaintext).toString('utf8') : null;
  } catch {
    return null;
  }
}
