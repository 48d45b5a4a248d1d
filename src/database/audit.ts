/** Who did what, written in the transaction that does it. Append-only: a trigger refuses every change. */
import { type RawBuilder, sql } from 'kysely';
import type { PublicIdType } from '../std/public-id.ts';
import type { Database, DatabaseTransaction } from './database.ts';
import { inListOrder, type Key, type Keyset } from './keyset.ts';

/** What something can be done to. */
export const AUDIT_SUBJECTS = [
  'project',
  'build',
  'token',
  'delivery',
  'credential',
  'worker',
  'enrolment',
  'task',
  'tasktype',
  'queue',
] as const satisfies readonly PublicIdType[];
export type AuditSubject = (typeof AUDIT_SUBJECTS)[number];

export interface AuditEntry {
  /** `token_…`, `worker_…`, `system`, or the command that wrote straight into the database: `slipway up`. */
  readonly actor: string;
  /** The API's verb: `startBuild`. */
  readonly action: string;
  readonly subjectType: AuditSubject;
  /** UUID. */
  readonly subjectId: string;
  /** Whose administrators may read it, beside those of everything; null: only those of everything. */
  readonly projectId: string | null;
  /** Never a secret. */
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** An entry as it is kept. */
export interface AuditRecord extends AuditEntry {
  /** Grows; not without gaps. */
  readonly id: number;
  readonly at: Date;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface AuditFilter {
  /** UUIDs: only entries of these projects; null: all entries, also those of no project. */
  readonly projectIds: readonly string[] | null;
  readonly actor: string | null;
  readonly action: string | null;
  /** UUID. */
  readonly subjectId: string | null;
  readonly from: Date | null;
  /** Exclusive. */
  readonly to: Date | null;
}

export async function audit(trx: DatabaseTransaction, entry: AuditEntry): Promise<void> {
  await trx
    .insertInto('audit_log')
    .values({
      actor: entry.actor,
      action: entry.action,
      subject_type: entry.subjectType,
      subject_id: entry.subjectId,
      project_id: entry.projectId,
      detail: JSON.stringify(entry.detail ?? {}),
    })
    .execute();
}

/** Where an entry is in the list: milliseconds since 1970 and its id, `1763683200000.17`. */
export function auditKey({ at, id }: Pick<AuditRecord, 'at' | 'id'>): string {
  return `${at.getTime()}.${id}`;
}

/**
 * One page of a keyset of `auditKey`s, by time and then by id: an entry has the time at which its transaction began, so
 * ids alone are in another order, and in any order when a clock was set back.
 */
export async function listAudit(db: Database, filter: AuditFilter, keyset: Keyset): Promise<AuditRecord[]> {
  const { projectIds, actor, action, subjectId, from, to } = filter;
  const ascending = (keyset.direction === 'asc') !== keyset.fromEnd;
  const [lower, upper] = keyset.direction === 'asc' ? [keyset.after, keyset.before] : [keyset.before, keyset.after];
  let query = db
    .selectFrom('audit_log')
    .selectAll()
    .orderBy('at', ascending ? 'asc' : 'desc')
    .orderBy('id', ascending ? 'asc' : 'desc')
    .limit(keyset.limit);
  if (lower !== null) query = query.where(sql<boolean>`(at, id) > (${placeOf(lower)})`);
  if (upper !== null) query = query.where(sql<boolean>`(at, id) < (${placeOf(upper)})`);
  if (projectIds !== null) query = query.where(sql<boolean>`project_id = any(${projectIds}::uuid[])`);
  if (actor !== null) query = query.where('actor', '=', actor);
  if (action !== null) query = query.where('action', '=', action);
  if (subjectId !== null) query = query.where('subject_id', '=', subjectId);
  if (from !== null) query = query.where('at', '>=', from);
  if (to !== null) query = query.where('at', '<', to);
  return inListOrder(await query.execute(), keyset).map((row) => ({
    id: row.id,
    at: row.at,
    actor: row.actor,
    action: row.action,
    subjectType: row.subject_type as AuditSubject,
    subjectId: row.subject_id,
    projectId: row.project_id,
    detail: row.detail,
  }));
}

function placeOf(key: Key): RawBuilder<unknown> {
  const [at, id] = String(key).split('.').map(Number);
  return sql`${new Date(at ?? 0)}::timestamptz, ${id ?? 0}::bigint`;
}
