/** Has this machine the key that the database is sealed with? */
import type { Config } from '../config/config.ts';
import { findKeyState } from '../credentials/keyring.ts';
import { findMasterKeys } from '../credentials/master-key.ts';
import { countOtherKeys } from '../credentials/rotate-master-key.ts';
import { openDatabase } from '../database/database.ts';
import { createLogger } from '../telemetry/logger.ts';
import { type Finding, finding, messageOf } from './finding.ts';

const NAME = 'master key';
const ROTATE = 'Run slipway credential rotate-key.';

/** Makes no key. A database that does not answer or is not migrated is told elsewhere. */
export async function checkMasterKey(config: Config, url: string | undefined): Promise<Finding[]> {
  const { masterKey = null, previousMasterKeys, dataFolder } = config;
  try {
    const keys = await findMasterKeys({ masterKey, previousMasterKeys, dataFolder });
    const ids = keys?.all.map(({ id }) => id) ?? [];
    if (url === undefined) return [finding('ok', NAME, ids[0] ?? 'is made at the first start')];
    return await compare(url, ids);
  } catch (error) {
    return [finding('fail', NAME, messageOf(error), 'Correct SLIPWAY_MASTER_KEY or the file.')];
  }
}

async function compare(url: string, ids: readonly string[]): Promise<Finding[]> {
  const db = openDatabase({ url, poolSize: 1, name: 'slipway doctor', logger: createLogger('silent') });
  try {
    const state = await findKeyState(db).catch(() => null);
    const [newest] = ids;
    if (!state) return [finding('ok', NAME, newest ?? 'is made at the first start')];
    const current = state.key_id;
    if (!ids.includes(current)) {
      const ours = ids.length > 0 ? ids.join(', ') : 'none';
      const remedy = 'Set SLIPWAY_MASTER_KEY, or copy master.key from the data folder of a process that runs.';
      return [finding('fail', NAME, `the database is sealed with ${current}, and here is ${ours}`, remedy)];
    }
    const others = await countOtherKeys(db, current);
    if (others > 0) return [finding('warn', NAME, `${others} credentials are sealed with older keys`, ROTATE)];
    if (newest !== current) return [finding('warn', NAME, `${newest} is new, and ${current} is still used`, ROTATE)];
    return [finding('ok', NAME, current)];
  } finally {
    await db.destroy();
  }
}
