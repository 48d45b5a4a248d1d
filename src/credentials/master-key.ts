/** The keys that secrets are sealed with: from the environment, or from a file that the first use makes. */
import { createHash, createSecretKey, type KeyObject, randomBytes, randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidInputError } from '../errors.ts';

const KEY_BYTES = 32;
const KEY_TEXT = /^[A-Za-z0-9+/]{43}=$/;
const FILE_NAME = 'master.key';
/** Keys of one file or option. The older ones open what is not sealed anew yet, and backups. */
const MAX_KEYS = 10;

export interface MasterKey {
  /** The first 8 hex digits of the key's SHA-256: names the key without telling it. */
  readonly id: string;
  /** An object that shows nothing of itself when it is printed or made into JSON. */
  readonly secret: KeyObject;
}

export interface MasterKeys {
  /** Newest first, at least one, at most 10. */
  readonly all: readonly MasterKey[];
  /** Where they are written: null for the environment. */
  readonly file: string | null;
}

export interface MasterKeyOptions {
  /** 32 bytes in base64; null: the file `<dataFolder>/master.key`, which the first call makes. */
  readonly masterKey: string | null;
  /** Older keys, newest first; only with `masterKey`. In a file they are the lines after the first. */
  readonly previousMasterKeys?: readonly string[];
  readonly dataFolder: string;
}

/**
 * Reads the keys, or makes the first one. Processes that start at the same moment get the same key. Throws
 * InvalidInputError when the option or the file does not hold keys.
 */
export async function readMasterKeys(options: MasterKeyOptions): Promise<MasterKeys> {
  const present = await findMasterKeys(options);
  if (present) return present;
  const file = join(options.dataFolder, FILE_NAME);
  return { all: parseKeys(await createKeyFile(options.dataFolder, file), file), file };
}

/** The same, but makes nothing: null when there is no key yet. */
export async function findMasterKeys(options: MasterKeyOptions): Promise<MasterKeys | null> {
  const { masterKey, previousMasterKeys = [], dataFolder } = options;
  if (masterKey !== null) {
    return { all: parseKeys([masterKey, ...previousMasterKeys].join('\n'), 'the option masterKey'), file: null };
  }
  const file = join(dataFolder, FILE_NAME);
  const text = await readIfThere(file);
  return text === null ? null : { all: parseKeys(text, file), file };
}

/** Writes a new key before the others of the file, all or nothing. Returns what the file holds then. */
export async function addMasterKey(file: string): Promise<MasterKeys> {
  const old = await readFile(file, 'utf8');
  const text = [newKeyText(), ...linesOf(old)].slice(0, MAX_KEYS).join('\n');
  const draft = `${file}.${randomUUID()}`;
  try {
    await writeDurably(draft, `${text}\n`);
    await rename(draft, file);
    await syncFolder(join(file, '..'));
  } finally {
    await rm(draft, { force: true });
  }
  return { all: parseKeys(text, file), file };
}

/** Writes the whole key under another name and links it: the file appears complete, and never replaces one. */
async function createKeyFile(dataFolder: string, file: string): Promise<string> {
  await mkdir(dataFolder, { recursive: true });
  const draft = `${file}.${randomUUID()}`;
  const text = newKeyText();
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

function newKeyText(): string {
  return randomBytes(KEY_BYTES).toString('base64');
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

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

function parseKeys(text: string, source: string): readonly MasterKey[] {
  const lines = linesOf(text);
  const [first] = lines;
  if (first === undefined || lines.length > MAX_KEYS || !lines.every((line) => KEY_TEXT.test(line))) {
    const format = `${KEY_BYTES} bytes in base64, as \`openssl rand -base64 ${KEY_BYTES}\` prints them`;
    const message = `${source} must hold ${format}; older keys follow it, ${MAX_KEYS} keys at most.`;
    throw new InvalidInputError([{ path: ['masterKey'], message }], 'INVALID_MASTER_KEY');
  }
  return lines.map((line) => {
    const bytes = Buffer.from(line, 'base64');
    return { id: createHash('sha256').update(bytes).digest('hex').slice(0, 8), secret: createSecretKey(bytes) };
  });
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
