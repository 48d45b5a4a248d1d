import { readConfig } from '../config/config.ts';
import type { Credential } from '../credentials/credential.ts';
import { findKeyState, openKeySource } from '../credentials/keyring.ts';
import { addMasterKey, findMasterKeys, type MasterKeyOptions } from '../credentials/master-key.ts';
import { abandonLostKey, countOtherKeys, type Rotation, rotateMasterKey } from '../credentials/rotate-master-key.ts';
import { type Database, openDatabase } from '../database/database.ts';
import { createLogger } from '../telemetry/logger.ts';
import { CliError, EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { openOwnDatabase } from './open-own-database.ts';
import { createOutput, type Output } from './output.ts';

export interface CredentialRotateFlags {
  readonly data?: string;
  readonly lost?: boolean;
  readonly json?: boolean;
}

const ACTOR = 'slipway credential rotate-key';

export async function credentialRotate(io: Io, flags: CredentialRotateFlags): Promise<ExitCode> {
  const config = readConfig(io.environment, { dataFolder: flags.data });
  const output = createOutput(io, flags);
  const logger = createLogger(config.logLevel);
  await using opened = new AsyncDisposableStack();
  const url = await openOwnDatabase(opened, config, logger);
  const db = openDatabase({ url, poolSize: 2, name: 'slipway credential', logger });
  opened.defer(() => db.destroy());
  const { masterKey = null, previousMasterKeys, dataFolder } = config;
  const options = { masterKey, previousMasterKeys, dataFolder };
  if (flags.lost) return abandon(output, db, options);
  await prepareNewKey(db, options);
  const keys = await openKeySource(options);
  const rotation = await rotateMasterKey({ db, keys, actor: ACTOR });
  tell(output, rotation, options);
  return rotation.unreadable.length === 0 ? EXIT.done : EXIT.error;
}

/**
 * The newest of our keys is one that the database does not have yet, or an interrupted rotation goes on: then there is
 * nothing to make. A file gets a new key; in an environment only the operator can put one.
 */
async function prepareNewKey(db: Database, options: MasterKeyOptions): Promise<void> {
  const keys = await findMasterKeys(options);
  const state = await findKeyState(db);
  if (!state || !keys)
    throw new CliError('There is nothing to rotate: no process has used this database with a key yet.');
  const [newest] = keys.all;
  if (newest?.id !== state.key_id || (await countOtherKeys(db, state.key_id)) > 0) return;
  if (keys.file === null) {
    throw new CliError(`Everything is sealed with ${state.key_id}, which is the newest key of this environment.`, {
      code: 'NO_NEW_KEY',
      hints: [
        'Make a key (openssl rand -base64 32) and give it to every process as SLIPWAY_MASTER_KEY,',
        'with the present one in SLIPWAY_PREVIOUS_MASTER_KEYS. Restart them, then run this again.',
      ],
    });
  }
  await addMasterKey(keys.file);
}

async function abandon(output: Output, db: Database, options: MasterKeyOptions): Promise<ExitCode> {
  const keys = await openKeySource(options);
  const deleted = await abandonLostKey({ db, keys, actor: ACTOR });
  if (output.json) output.value({ keyId: keys.keys[0]?.id, deleted: deleted.map(place) });
  else if (deleted.length === 0) output.line('No credential was lost.');
  else output.line(`Deleted, to be set again: ${deleted.map(({ name }) => name).join(', ')}`);
  if (!output.json)
    output.note('Where the current key was lost, callbacks have new secrets: read Project.callbackSecret again.');
  return EXIT.done;
}

function tell(output: Output, rotation: Rotation, { masterKey }: MasterKeyOptions): void {
  const { from, keyId, resealed, unreadable } = rotation;
  if (output.json) {
    output.value({ from, keyId, resealed, unreadable: unreadable.map(place) });
    return;
  }
  output.line(`${from === keyId ? keyId : `${from} -> ${keyId}`}: ${resealed} credentials were sealed anew.`);
  for (const { name } of unreadable) output.note(`${name} cannot be opened: it is as it was. Set it again.`);
  if (masterKey !== null && unreadable.length === 0) {
    output.note('The old key may be taken out of SLIPWAY_PREVIOUS_MASTER_KEYS; keep it for backups from before.');
  } else if (masterKey === null) {
    output.note(
      'The old key stays in master.key, for backups from before. Copy the file to every machine that has one.',
    );
  }
}

function place({ name, projectId, kind }: Credential) {
  return { name, projectId, kind };
}
