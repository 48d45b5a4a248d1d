/**
 * Which earlier builds a new one takes the place of, or which one is in its way. A group is decided under the project's
 * row, which everybody who accepts a build holds. A build's row comes before the project's in the order of locks, so those
 * that are to end are locked first, and what has come meanwhile is locked only if nobody else has it.
 */
import { type RawBuilder, sql } from 'kysely';
import type { DatabaseTransaction } from '../database/database.ts';
import { type Build, toBuild } from './build.ts';
import type { BuildSpec } from './build-spec.ts';

/** Builds that one build takes the place of: the oldest ones. What is left goes with the next build. */
const MAX_SUPERSEDED = 500;

/** What decides whom a build that is about to be accepted meets. */
export interface Newcomer {
  readonly projectId: string;
  readonly spec: Pick<BuildSpec, 'branch' | 'concurrencyKey' | 'supersede'>;
  /** A schedule whose earlier builds end for this one. */
  readonly replacesSchedule: string | null;
}

/** Somebody has a build that came meanwhile: the transaction is tried again, as after a deadlock. */
class Overtaken extends Error {
  override readonly name = 'Overtaken';
  readonly code = '40001';
}

/** Before the project's row is locked: waits for whoever has one of these builds. */
export async function lockSuperseded(trx: DatabaseTransaction, newcomer: Newcomer): Promise<void> {
  const isVictim = victimsOf(newcomer);
  if (!isVictim) return;
  // One at a time in a project, else each would find a build that another one has brought and that a third one has locked.
  await sql`select pg_advisory_xact_lock(hashtextextended(${`slipway:supersede:${newcomer.projectId}`}, 0))`.execute(
    trx,
  );
  await victims(trx, isVictim).forUpdate().execute();
}

/** Would accepting it end another build, or itself? Otherwise it can be accepted together with others. */
export function meetsOthers(newcomer: Newcomer): boolean {
  const { projectId, spec } = newcomer;
  return (
    victimsOf(newcomer) !== null || (spec.supersede?.policy === 'SKIP_NEWEST' && groupOf(projectId, spec) !== null)
  );
}

/** Under the project's row: the builds that end for this one, locked. */
export async function findSuperseded(trx: DatabaseTransaction, newcomer: Newcomer, id: string): Promise<Build[]> {
  const isVictim = victimsOf(newcomer);
  if (!isVictim) return [];
  const locked = await victims(trx, isVictim).where('id', '<>', id).forUpdate().skipLocked().execute();
  const all = await victims(trx, isVictim).where('id', '<>', id).clearSelect().select('id').execute();
  if (all.length > locked.length) throw new Overtaken('A build that is to be superseded is being changed.');
  return locked.map(toBuild);
}

/** Under the project's row: the newest build that lets none follow it while it waits or runs. */
export async function findInTheWay(
  trx: DatabaseTransaction,
  { projectId, spec }: Newcomer,
  id: string,
): Promise<{ readonly id: string; readonly number: number } | null> {
  const inGroup = spec.supersede?.policy === 'SKIP_NEWEST' ? groupOf(projectId, spec) : null;
  if (!inGroup) return null;
  const row = await trx
    .selectFrom('build_audit')
    .select(['id', 'number'])
    .where('finished_at', 'is', null)
    .where('cancel_requested_at', 'is', null)
    .where(inGroup)
    .where('id', '<>', id)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row ?? null;
}

/** What is being pushed stays, and what ends already needs no other reason. */
function victims(trx: DatabaseTransaction, isVictim: RawBuilder<boolean>) {
  return trx
    .selectFrom('build_audit')
    .selectAll()
    .where('finished_at', 'is', null)
    .where('push_intent_sha', 'is', null)
    .where('cancel_requested_at', 'is', null)
    .where(isVictim)
    .orderBy('id')
    .limit(MAX_SUPERSEDED);
}

function victimsOf({ projectId, spec, replacesSchedule }: Newcomer): RawBuilder<boolean> | null {
  const inGroup = spec.supersede?.policy === 'CANCEL_IN_PROGRESS' ? groupOf(projectId, spec) : null;
  const ofSchedule = replacesSchedule === null ? null : sql<boolean>`schedule_id = ${replacesSchedule}`;
  return inGroup && ofSchedule ? sql<boolean>`(${inGroup} or ${ofSchedule})` : (inGroup ?? ofSchedule);
}

/** Null: it is in none. */
function groupOf(
  projectId: string,
  { branch, concurrencyKey, supersede }: Newcomer['spec'],
): RawBuilder<boolean> | null {
  const inProject = sql<boolean>`project_id = ${projectId}`;
  if (supersede?.by === 'BRANCH') return sql<boolean>`(${inProject} and branch = ${branch})`;
  if (supersede?.by !== 'KEY') return inProject;
  // The queue has the key at hand: in a spec it lies behind a prompt of up to 1 MiB.
  const inQueue = sql`select from queue_items i where i.id = build_audit.id and i.key = ${concurrencyKey}`;
  return concurrencyKey ? sql<boolean>`(${inProject} and exists (${inQueue}))` : null;
}
