/** The queue without builds: items of tasks, claimed by hand. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { expect } from 'vitest';
import type { Database, DatabaseTransaction } from '../../src/database/database.ts';

/** A project's row, and nothing else. */
export async function addProject(db: Database): Promise<string> {
  const id = v7();
  await db
    .insertInto('projects')
    .values({ id, slug: `p-${id}`, name: 'P', default_branch: 'main', created_by: 'test' })
    .execute();
  return id;
}

export interface HandClaim {
  readonly kinds?: readonly string[];
  readonly labels?: readonly string[];
  readonly max?: number;
  readonly projects?: readonly string[] | null;
}

/** Ids in the order in which they were given out. */
export async function claim(db: Database | DatabaseTransaction, asks: HandClaim = {}): Promise<string[]> {
  return (await claimAll(db, asks)).ids;
}

export async function claimAll(
  db: Database | DatabaseTransaction,
  { kinds = ['task:a'], labels = [], max = 100, projects = null }: HandClaim = {},
): Promise<{ ids: string[]; hasPassedOver: boolean }> {
  const { rows } = await sql<{ id: string | null }>`
    select id from queue_claim(${v7()}, ${[...kinds]}::text[], ${[...labels]}::text[], ${max},
                               ${projects && [...projects]}::uuid[])`.execute(db);
  const ids = rows.flatMap(({ id }) => (id === null ? [] : [id]));
  return { ids, hasPassedOver: ids.length < rows.length };
}

/** Every counter is what the items say. */
export async function checkQueue(db: Database): Promise<void> {
  const { rows } = await sql<{ queue_check: string }>`select queue_check()`.execute(db);
  expect(rows.map((row) => row.queue_check)).toEqual([]);
}
