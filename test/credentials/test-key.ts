import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { type Keyring, openKeyring, openKeySource } from '../../src/credentials/keyring.ts';
import type { MasterKeyOptions } from '../../src/credentials/master-key.ts';
import type { KeySource } from '../../src/credentials/seal.ts';
import type { Database } from '../../src/database/database.ts';

export function newKeyText(): string {
  return randomBytes(32).toString('base64');
}

/** As a process has it that was given these keys, newest first. */
function keyOptions(...texts: readonly string[]): MasterKeyOptions {
  const [masterKey = newKeyText(), ...previousMasterKeys] = texts;
  return { masterKey, previousMasterKeys, dataFolder: tmpdir() };
}

export function newKeySource(...texts: readonly string[]): Promise<KeySource> {
  return openKeySource(keyOptions(...texts));
}

export function openTestKeyring(db: Database, ...texts: readonly string[]): Promise<Keyring> {
  return openKeyring(db, keyOptions(...texts));
}
