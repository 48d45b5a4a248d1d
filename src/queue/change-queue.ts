/**
 * What people change about the queue. Each change comes last in its transaction: nobody claims from there to its end.
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

/** Nothing of the project starts any more; what runs goes on. Doing it twice is fine. Throws NotFoundError. */
export async function pauseProject(deps: ChangeQueueDeps, projectId: string, actor: string): Promise<void> {
  await change(deps, { projectId, actor, action: 'pauseProject' }, (trx) => pause(trx, projectId, actor));
}

/** Doing it twice is fine. Throws NotFoundError. */
export async function resumeProject(deps: ChangeQueueDeps, projectId: string, actor: string): Promise<void> {
  await change(deps, { projectId, actor, action: 'resumeProject' }, (trx) => resume(trx, projectId));
}

export interface QueueChanges {
  /** True: nothing starts any more; what runs goes on. Absent or null: as it was. */
  readonly paused?: boolean | null | undefined;
  /** Builds and tasks that run at the same time in all; null for any number. Absent: as it was. */
  readonly maxRunning?: number | null | undefined;
}

/** All of it or nothing. Throws InvalidInputError. */
export async function updateQueue(deps: ChangeQueueDeps, changes: QueueChanges, actor: string): Promise<void> {
  const { maxRunning } = changes;
  const paused = changes.paused ?? undefined;
  if (maxRunning !== undefined) requireLimit(maxRunning, 0);
  if (maxRunning === undefined && paused === undefined) return;
  const detail = { ...(maxRunning === undefined ? {} : { maxRunning }), ...(paused === undefined ? {} : { paused }) };
  await change(deps, { projectId: null, actor, action: 'updateQueue', detail }, async (trx) => {
    if (maxRunning !== undefined) await sql`select queue_limit(${maxRunning})`.execute(trx);
    if (paused === true) await pause(trx, null, actor);
    if (paused === false) await resume(trx, null);
  });
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

/** Null: everything. */
async function pause(trx: DatabaseTransaction, projectId: string | null, actor: string): Promise<void> {
  await sql`select queue_pause(${projectId}, ${actor})`.execute(trx);
}

async function resume(trx: DatabaseTransaction, projectId: string | null): Promise<void> {
  await sql`select queue_resume(${projectId})`.execute(trx);
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
