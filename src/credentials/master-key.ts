/** The one key from which every secret of Slipway is sealed or derived. */
import { createHash, createSecretKey, hkdfSync, type KeyObject, randomBytes, randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidInputError } from '../errors.ts';

const KEY_BYTES = 32;
const KEY_TEXT = /^[A-Za-z0-9+/]{43}=$/;
const FILE_NAME = 'master.key';

export interface MasterKey {
  /** The first 8 hex digits of the key's SHA-256: names the key without telling it. */
  readonly id: string;
  /** An object that shows nothing of itself when it is printed or made into JSON. */
  readonly secret: KeyObject;
}

export interface MasterKeyOptions {
  /** 32 bytes in base64; null: the file `<dataFolder>/master.key`, which the first call makes. */
  readonly masterKey: string | null;
  readonly dataFolder: string;
}

/**
 * Reads the master key, or makes one on first use. Processes that start at the same moment get the same key. Throws
 * InvalidInputError when the option or the file is not a key.
 */
export async function openMasterKey(options: MasterKeyOptions): Promise<MasterKey> {
  if (options.masterKey !== null) return parseKey(options.masterKey, 'the option masterKey');
  const file = join(options.dataFolder, FILE_NAME);
  const text = (await readIfThere(file)) ?? (await createKeyFile(options.dataFolder, file));
  return parseKey(text, file);
}

/** 32 bytes that depend on the key and on `purpose`; knowing those of one purpose tells nothing of another's. */
export function deriveKey(masterKey: MasterKey, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', masterKey.secret, '', `slipway ${purpose}`, KEY_BYTES));
}

/** Writes the whole key under another name and links it: the file appears complete, and never replaces one. */
async function createKeyFile(dataFolder: string, file: string): Promise<string> {
  await mkdir(dataFolder, { recursive: true });
  const draft = `${file}.${randomUUID()}`;
  const text = randomBytes(KEY_BYTES).toString('base64');
  try {
    await writeDurably(draft, `${text}\n`);
    await link(draft, file);
    await syncFolder(dataFolder);
    return text;
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    return await readFile(file, 'utf8');
  } finally {
    await rm(draft, { force: true });
  }
}

async function writeDurably(file: string, text: string): Promise<void> {
  await using handle = await open(file, 'wx', 0o600);
  await handle.writeFile(text);
  await handle.sync();
}

/** A key that is lost with the power, after something was sealed with it, cannot be made again. */
async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

async function readIfThere(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
}

function parseKey(text: string, source: string): MasterKey {
  if (!KEY_TEXT.test(text.trim())) {
    const message = `${source} must hold ${KEY_BYTES} bytes in base64, as \`openssl rand -base64 ${KEY_BYTES}\` prints them.`;
    throw new InvalidInputError([{ path: ['masterKey'], message }], 'INVALID_MASTER_KEY');
  }
  const bytes = Buffer.from(text, 'base64');
  return { id: createHash('sha256').update(bytes).digest('hex').slice(0, 8), secret: createSecretKey(bytes) };
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
