/** A build that is accepted and begins in the same statement: only where a claim would do the same, and with the same rows. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ClaimedBuild, toClaimedBuild } from '../../src/builds/build.ts';
import type { BuildSpecInput } from '../../src/builds/build-spec.ts';
import type { Claimer } from '../../src/builds/claim-builds.ts';
import { toBuildRow, writeBuilds } from '../../src/builds/new-build.ts';
import { resolveSpec } from '../../src/builds/resolve-spec.ts';
import type { Project } from '../../src/projects/project.ts';
import { claimByHand, claimer, registerByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { checkQueue } from '../support/queue.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;
let workerId: string;
let project: Project;
let other: Project;

beforeAll(async () => {
  stack = await openTestStack();
  workerId = await registerByHand(stack);
  [project, other] = [await stack.createProject(), await stack.createProject()];
  // From here on it and its builds have their places in the queue.
  for (const one of [project, other]) await begin(one);
});
afterAll(() => stack[Symbol.asyncDispose]());

function row(of: Project, more: Partial<BuildSpecInput> = {}, projectVersion: number | null = null) {
  const base = { source: 'API', retryOf: null, idempotencyKey: null, inputHash: null, actor: 'test' } as const;
  const resolved = resolveSpec(stack.orchestrator, of, { prompt: 'work', ...more }, []);
  return toBuildRow({ ...base, projectId: of.id, projectVersion, spec: resolved, action: 'startBuild' });
}

/** Its id, and those that the worker has with that. */
async function begin(of: Project, more: Partial<BuildSpecInput> = {}, who: Claimer = claimer(workerId)) {
  const { acceptor, places } = stack.orchestrator;
  const wanted = row(of, more);
  const given: ClaimedBuild[] = [];
  const off = places.serve(async () => ({
    ...{ claimer: who, count: 9, ending: [] },
    release: ({ claimed }) => void given.push(...claimed),
  }));
  try {
    expect(await acceptor.accept(wanted)).toMatchObject({ outcome: 'ACCEPTED', build: { id: wanted.id } });
  } finally {
    off();
  }
  return { id: wanted.id, given: given.map(({ id }) => id), builds: given };
}

async function statusOf(id: string): Promise<string | undefined> {
  const query = stack.orchestrator.db.selectFrom('build_audit').select('status').where('id', '=', id);
  return (await query.executeTakeFirst())?.status;
}

/** What is there of a build, without what differs from one to the next. */
async function rowsOf(id: string): Promise<unknown> {
  const { rows } = await sql<{ all: unknown }>`
    select jsonb_build_array(
      (select to_jsonb(b) - '{id,number,created_at,started_at,lease_until,traceparent}'::text[] || jsonb_build_object(
                'late', b.started_at < b.created_at, 'lease', round(extract(epoch from b.lease_until - b.created_at)))
         from build_audit b where b.id = ${id}),
      (select jsonb_agg(to_jsonb(a) - '{build_id,started_at,seq}'::text[]) from build_attempts a where a.build_id = ${id}),
      (select jsonb_agg(to_jsonb(e) - '{build_id,at}'::text[] order by e.seq) from build_events e where e.build_id = ${id}),
      (select jsonb_agg(jsonb_build_array(e.type, e.build_seq) order by e.seq) from project_events e where e.build_id = ${id}),
      (select jsonb_agg(to_jsonb(l) - '{id,at,subject_id}'::text[]) from audit_log l where l.subject_id = ${id}),
      (select jsonb_agg(to_jsonb(i) - '{id,added_at,rank,ready_at,claimed_at}'::text[] || jsonb_build_object('taken', i.claimed_at is not null))
         from queue_items i where i.id = ${id})) as all`.execute(stack.orchestrator.db);
  return rows[0]?.all;
}

test('one build that can begin at once is written once, with the rows of one that is accepted and then claimed', async () => {
  const { db } = stack.orchestrator;
  const later = row(project);
  expect(await writeBuilds(db, [later], { waits: false })).toMatchObject([{ outcome: 'ACCEPTED' }]);
  expect((await claimByHand(stack, workerId)).id).toBe(later.id);
  await sql`create function refuse_start() returns trigger language plpgsql as $$ begin raise 'it waited'; end $$`.execute(
    db,
  );
  await sql`create trigger refuse_start before update of status on build_audit for each row execute function refuse_start()`.execute(
    db,
  );
  try {
    const { id, given, builds } = await begin(project);
    expect(given).toEqual([id]);
    const stored = await db.selectFrom('build_audit').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
    expect(builds).toEqual([toClaimedBuild(stored, workerId)]);
    expect(await rowsOf(id)).toEqual(await rowsOf(later.id));
  } finally {
    await sql`drop function refuse_start cascade`.execute(db);
  }
  await checkQueue(db);
});

const KEY = '01980000-0000-7000-8000-0000000000cc';
const GATE = `insert into provider_keys values ('scripted', 'KEY') on conflict (provider) do update set variable = 'KEY';
  insert into credentials (id, name, sealed, kind, target, key_id) values ('${KEY}', 'k', '', 'MODEL_API_KEY', 'KEY', '');
  select queue_limit_gate('${KEY}', 0)`;
const NO_GATE = `select queue_limit_gate('${KEY}', null); delete from credentials; delete from provider_keys`;
const RUNNING = () => `(select running from queue_owners where project_id = '${project.id}')`;

interface Held {
  readonly what: string;
  readonly set?: () => string;
  readonly unset?: () => string;
  readonly who?: () => Partial<Claimer>;
}

/** What keeps a build from its start, and what takes that away. */
const HELD: readonly Held[] = [
  {
    what: 'its project is paused',
    set: () => `select queue_pause('${project.id}', 't')`,
    unset: () => `select queue_resume('${project.id}')`,
  },
  { what: 'all is paused', set: () => `select queue_pause(null, 't')`, unset: () => 'select queue_resume(null)' },
  {
    what: 'as many run as may',
    set: () => 'select queue_limit((select running from queue_state))',
    unset: () => 'select queue_limit(null)',
  },
  {
    what: 'as many of its project run as may',
    set: () => `select queue_configure('${project.id}', 1, ${RUNNING()}, 1)`,
    unset: () => `select queue_configure('${project.id}', 1, null, 1)`,
  },
  {
    what: 'the worker is cordoned',
    set: () => "update workers set cordoned_at = now(), cordoned_by = 't'",
    unset: () => 'update workers set cordoned_at = null, cordoned_by = null',
  },
  { what: 'as many run with its key as may', set: () => GATE, unset: () => NO_GATE },
  {
    what: 'its key is at its rate limit',
    set: () => `insert into quota_pauses values ('scripted', 'worker', null, now() + interval '1 hour')`,
    unset: () => `delete from quota_pauses;
      update build_audit set waiting_for = null, resume_at = null where waiting_for is not null;
      update queue_items set ready_at = now() where claimed_at is null`,
  },
  { what: 'the worker serves other projects', who: () => ({ projectIds: [other.id] }) },
  { what: 'the worker lacks its label', who: () => ({ labels: [] }) },
];

test.each(HELD)('it waits as any other one while $what, and nobody overtakes it', async ({ set, unset, who }) => {
  const { db } = stack.orchestrator;
  if (set) await sql.raw(set()).execute(db);
  const { id } = await begin(project, {}, { ...claimer(workerId), ...who?.() });
  expect(await statusOf(id)).toBe('PENDING');
  if (unset) await sql.raw(unset()).execute(db);
  const next = await begin(other);
  expect(new Set(next.given)).toEqual(new Set([id, next.id]));
  await checkQueue(db);
});

test('a build that is refused takes nothing from a worker that is to ask again', async () => {
  const { acceptor, places, queue } = stack.orchestrator;
  let asks = 0;
  const off = places.serve(async () => {
    // Its last claim has passed over a row that somebody held.
    queue.again.claimed(workerId, true, () => {
      asks += 1;
    });
    return { claimer: claimer(workerId), count: 1, ending: [], release: () => {} };
  });
  try {
    expect(await acceptor.accept(row(project, {}, 99))).toEqual({ outcome: 'CHANGED' });
    await waitFor(() => asks > 0, { what: 'the worker to ask again' });
  } finally {
    off();
    queue.again.claimed(workerId, false, () => {});
  }
});
