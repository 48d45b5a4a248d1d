import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { type MasterKey, openMasterKey } from '../../src/credentials/master-key.ts';

export function newMasterKey(): Promise<MasterKey> {
  return openMasterKey({ masterKey: randomBytes(32).toString('base64'), dataFolder: tmpdir() });
}
