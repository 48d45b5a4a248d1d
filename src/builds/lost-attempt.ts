/** What becomes of a build whose attempt was lost, with its worker or with its workspace. */
import type { Selectable } from 'kysely';
import type { DatabaseTransaction } from '../database/database.ts';
import type { BuildAuditTable } from '../database/tables.ts';
import type { Topic } from '../events/topics.ts';
import type { Queue } from '../queue/queue.ts';
import { toBuild } from './build.ts';
import { failure } from './build-result.ts';
import { type Conclusion, writeFinish } from './finish-build.ts';
import { MAX_LOST_ATTEMPTS } from './lease.ts';
import { requeueBuild } from './requeue-build.ts';

/** Once a push was intended, somebody must look whether it arrived: that many attempts may be lost over it. */
const MAX_LOST_PUSHES = 10;

/** How a build ends that has lost attempts too often; null if it goes on. `what`: happened to the last one, a sentence. */
export function concludeLost(row: Selectable<BuildAuditTable>, what: string): Conclusion | null {
  const losses = row.lost_attempts + 1;
  const lost = `${what} Attempts of this build were lost ${losses} times`;
  const fail = (reason: 'WORKER_LOST' | 'GIT_PUSH_FAILED', message: string) => failure(reason, row.phase, message);
  if (row.push_intent_sha === null) {
    if (losses < MAX_LOST_ATTEMPTS) return null;
    return { status: 'FAILED', result: {}, failure: fail('WORKER_LOST', `${lost}.`) };
  }
  if (losses < MAX_LOST_PUSHES) return null;
  if (row.pushed_sha !== null) {
    const result = { publication: 'PUSHED', commitSha: row.pushed_sha } as const;
    return { status: 'FAILED', result, failure: fail('WORKER_LOST', `${lost}. Its commit is on the remote.`) };
  }
  const message = `${lost}. Its commit ${row.push_intent_sha} may be on the remote: look there before you retry.`;
  return { status: 'FAILED', result: {}, failure: fail('GIT_PUSH_FAILED', message) };
}

/** Puts the build back, or ends it if its workspace was lost too often. The caller holds the row's lock. */
export async function writeLostWorkspace(
  trx: DatabaseTransaction,
  queue: Queue,
  { buildId, message }: { readonly buildId: string; readonly message: string },
): Promise<{ readonly topics: readonly Topic[]; readonly ended: boolean }> {
  const row = await trx.selectFrom('build_audit').selectAll().where('id', '=', buildId).executeTakeFirstOrThrow();
  const conclusion = concludeLost(row, message);
  const topics = conclusion
    ? await writeFinish(trx, { build: toBuild(row), conclusion, outcome: 'LOST' })
    : await requeueBuild(trx, queue, { buildId, outcome: 'LOST', reason: 'WORKSPACE_LOST', message });
  return { topics, ended: conclusion !== null };
}
