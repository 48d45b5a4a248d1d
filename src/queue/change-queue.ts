/**
 * What people change about the queue. Each change is the last write of its transaction: nobody claims from there to its
 * end.
 */
import { sql } from 'kysely';
import { type AuditEntry, audit } from '../database/audit.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { readInstallation } from '../database/installation.ts';
import { inTransaction } from '../database/transaction.ts';
import { InvalidInputError, NotFoundError } from '../errors.ts';
import type { EventHub } from '../events/event-hub.ts';
import { QUEUE_TOPIC } from '../events/topics.ts';
import { toPublicId } from '../std/public-id.ts';

export interface ChangeQueueDeps {
  readonly db: Database;
  readonly hub: Pick<EventHub, 'announce'>;
}

/** Characters of a key, and items of one limit. */
const MAX_KEY = 200;
const MAX_LIMIT = 100_000;

/** Nothing of the project starts any more, or nothing at all (null); what runs goes on. Doing it twice is fine. */
export async function pauseQueue(deps: ChangeQueueDeps, projectId: string | null, actor: string): Promise<void> {
  const action = projectId === null ? 'pauseQueue' : 'pauseProject';
  await change(deps, { projectId, actor, action }, (trx) =>
    sql`select queue_pause(${projectId}, ${actor})`.execute(trx),
  );
}

export async function resumeQueue(deps: ChangeQueueDeps, projectId: string | null, actor: string): Promise<void> {
  const action = projectId === null ? 'resumeQueue' : 'resumeProject';
  await change(deps, { projectId, actor, action }, (trx) => sql`select queue_resume(${projectId})`.execute(trx));
}

/** Builds and tasks that run at the same time in all; null for any number. Throws InvalidInputError. */
export async function setQueueLimit(deps: ChangeQueueDeps, maxRunning: number | null, actor: string): Promise<void> {
  requireLimit(maxRunning, 0);
  const entry = { projectId: null, actor, action: 'setQueueLimit', detail: { maxRunning } };
  await change(deps, entry, (trx) => sql`select queue_limit(${maxRunning})`.execute(trx));
}

export interface KeyLimit {
  readonly projectId: string;
  readonly key: string;
  /** Null: as the project's settings say. */
  readonly maxRunning: number | null;
}

/** Those of the project with this concurrency key that run at the same time. Throws InvalidInputError or NotFoundError. */
export async function setKeyLimit(deps: ChangeQueueDeps, limit: KeyLimit, actor: string): Promise<void> {
  const { projectId, key, maxRunning } = limit;
  requireLimit(maxRunning, 1);
  if (key.trim() === '' || key.length > MAX_KEY || key.includes('\0') || !key.isWellFormed()) {
    throw new InvalidInputError([
      { path: ['input', 'key'], message: `must be plain text of at most ${MAX_KEY} characters` },
    ]);
  }
  const entry = { projectId, actor, action: 'setKeyLimit', detail: { key, maxRunning } };
  await change(deps, entry, (trx) => sql`select queue_limit_key(${projectId}, ${key}, ${maxRunning})`.execute(trx));
}

function requireLimit(maxRunning: number | null, min: number): void {
  if (maxRunning === null || (Number.isInteger(maxRunning) && maxRunning >= min && maxRunning <= MAX_LIMIT)) return;
  throw new InvalidInputError([
    { path: ['input', 'maxRunning'], message: `must be a whole number from ${min} to ${MAX_LIMIT}` },
  ]);
}

async function change(
  deps: ChangeQueueDeps,
  entry: Pick<AuditEntry, 'projectId' | 'actor' | 'action' | 'detail'>,
  work: (trx: DatabaseTransaction) => Promise<unknown>,
): Promise<void> {
  const { projectId } = entry;
  await inTransaction(deps.db, async (trx) => {
    if (projectId === null) {
      await audit(trx, { ...entry, subjectType: 'queue', subjectId: await readInstallation(trx) });
    } else {
      const project = await trx.selectFrom('projects').select('id').where('id', '=', projectId).executeTakeFirst();
      if (!project) throw new NotFoundError('project', toPublicId('project', projectId));
      await audit(trx, { ...entry, subjectType: 'project', subjectId: projectId });
    }
    await work(trx);
  });
  deps.hub.announce(QUEUE_TOPIC);
}
