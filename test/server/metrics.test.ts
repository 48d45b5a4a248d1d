/** `/metrics`: what Prometheus reads, and who may. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DriftCounter } from '../../src/agents/drift.ts';
import { claimBuilds } from '../../src/builds/claim-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { WAIT_REASONS } from '../../src/stats/wait-reasons.ts';
import { enqueueTask } from '../../src/tasks/enqueue-task.ts';
import { recordDrift } from '../../src/workers/agent-drift.ts';
import { insertDelivery, insertFinishedBuild } from '../callbacks/finished-builds.ts';
import { claimer, registerByHand } from '../support/claim.ts';
import { insertBuilds } from '../support/events.ts';
import { type FixtureServer, openFixtureServer } from './open-fixture-server.ts';

let server: FixtureServer;
beforeAll(async () => {
  server = await openFixtureServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const scrape = (authorization: string) => fetch(`${server.server.url}/metrics`, { headers: { authorization } });

/** Series -> value; throws what is not in the text format. */
async function readSeries(): Promise<Map<string, number>> {
  const response = await scrape(server.authorization);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(response.headers.get('cache-control')).toBe('no-store');
  const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const [, series, value] = /^([a-z_]+(?:\{.*\})?) (-?[\d.e+-]+)$/.exec(line) ?? [];
      if (series === undefined) throw new Error(`no line of the text format: ${line}`);
      return [series, Number(value)];
    }),
  );
}

/** The queue's own figures: builds in these states, and waiting for these reasons. */
function queued(states: Readonly<Record<string, number>>, reasons: Readonly<Record<string, number>> = {}) {
  const all = { waiting: 0, scheduled: 0, running: 0, ...states };
  return Object.fromEntries([
    ...Object.entries(all).map(([state, count]) => [`slipway_queue_items{kind="build",state="${state}"}`, count]),
    ...WAIT_REASONS.map((code) => code.toLowerCase()).map((reason) => [
      `slipway_queue_waiting_builds{reason="${reason}"}`,
      reasons[reason] ?? 0,
    ]),
  ]);
}

function cicd({ pending, ...workers }: { pending: number; available: number; busy: number; offline: number }) {
  const runs = (state: string) =>
    `cicd_pipeline_run_active{cicd_pipeline_name="build",cicd_pipeline_run_state="${state}"}`;
  return {
    [runs('pending')]: pending,
    [runs('executing')]: 0,
    [runs('finalizing')]: 0,
    ...Object.fromEntries(
      Object.entries(workers).map(([state, count]) => [`cicd_worker_count{cicd_worker_state="${state}"}`, count]),
    ),
    ...Object.fromEntries(
      ['api', 'builds', 'callbacks', 'worker'].map((name) => [
        `cicd_system_errors_total{cicd_system_component="${name}"}`,
        0,
      ]),
    ),
  };
}

it('tells how the queue, the workers, the callbacks and the agents are', async () => {
  const { db } = server.stack.orchestrator;
  expect(Object.fromEntries(await readSeries())).toEqual({
    'slipway_builds{status="pending"}': 0,
    'slipway_builds{status="running"}': 0,
    slipway_oldest_pending_build_age_seconds: 0,
    slipway_callbacks_waiting: 0,
    'slipway_queue_oldest_wait_seconds{kind="build"}': 0,
    ...queued({}),
    'slipway_workers{state="online"}': 0,
    'slipway_workers{state="draining"}': 0,
    'slipway_workers{state="offline"}': 0,
    ...cicd({ pending: 0, available: 0, busy: 0, offline: 0 }),
  });
  const [oldest, later, waiting] = await insertBuilds(db, 4);
  await sql`update build_audit set created_at = now() - interval '1 minute' where id = ${oldest?.buildId}`.execute(db);
  // They wait longer, but not for a worker.
  const old = sql`created_at = now() - interval '1 hour'`;
  await sql`update build_audit set ${old}, run_after = now() + interval '1 hour' where id = ${later?.buildId}`.execute(
    db,
  );
  await sql`update build_audit set ${old}, waiting_for = 'QUOTA', resume_at = now() + interval '1 hour'
    where id = ${waiting?.buildId}`.execute(db);
  await sql`select queue_add_build(id), id from build_audit`.execute(db);
  const projectId = oldest?.projectId ?? '';
  const buildId = await insertFinishedBuild(db, { projectId, number: 5 });
  await insertDelivery(db, { projectId, buildId, url: 'http://127.0.0.1:1/' });
  for (const [draining, stopped] of [
    [false, false],
    [true, false],
    [true, true],
  ]) {
    await sql`insert into workers (id, name, host, process, version, capacity, draining_at, stopped_at)
      values (${v7()}, 'w', 'h', 'p', '1', 1, ${draining ? new Date() : null}, ${stopped ? new Date() : null})`.execute(
      db,
    );
  }
  const drift = new DriftCounter();
  drift.add({ agent: 'claude-code', version: '9.9.9', name: 'a "new"\nkind', count: 7 });
  await recordDrift(db, drift, new Map());
  const series = await readSeries();
  const age = series.get('slipway_oldest_pending_build_age_seconds') ?? 0;
  expect(age).toBeGreaterThanOrEqual(60);
  expect(age).toBeLessThan(3_000);
  series.delete('slipway_oldest_pending_build_age_seconds');
  const wait = series.get('slipway_queue_oldest_wait_seconds{kind="build"}') ?? 0;
  expect(wait).toBeGreaterThanOrEqual(60);
  expect(wait).toBeLessThan(3_000);
  series.delete('slipway_queue_oldest_wait_seconds{kind="build"}');
  expect(Object.fromEntries(series)).toEqual({
    ...queued({ waiting: 2, scheduled: 2 }, { no_worker: 2, run_after: 1, quota: 1 }),
    'slipway_builds{status="pending"}': 4,
    'slipway_builds{status="running"}': 0,
    slipway_callbacks_waiting: 1,
    'slipway_workers{state="online"}': 1,
    'slipway_workers{state="draining"}': 1,
    'slipway_workers{state="offline"}': 1,
    ...cicd({ pending: 4, available: 1, busy: 1, offline: 1 }),
    'slipway_agent_unknown_events_total{agent="claude-code",version="9.9.9",name="a \\"new\\"\\nkind"}': 7,
  });
});

it('has a help and a type for everything', async () => {
  const text = await (await scrape(server.authorization)).text();
  const names = [...new Set([...text.matchAll(/^(slipway_[a-z_]+)/gm)].map(([, name]) => name))];
  expect(names).toHaveLength(8);
  for (const name of names) {
    expect(text).toMatch(new RegExp(`^# HELP ${name} .+\\.$`, 'm'));
    expect(text).toMatch(new RegExp(`^# TYPE ${name} ${name?.endsWith('_total') ? 'counter' : 'gauge'}$`, 'm'));
  }
});

it('counts how long builds and tasks that were claimed here had waited', async () => {
  const { orchestrator } = server.stack;
  const { db, desk } = orchestrator;
  const project = await server.stack.createProject();
  const { build } = await startBuild(orchestrator, { projectId: project.id, spec: { prompt: 'x' } }, 'test');
  await sql`update build_audit set created_at = now() - interval '100 seconds' where id = ${build.id}`.execute(db);
  const { task } = await enqueueTask(
    orchestrator,
    { projectId: project.id, task: { type: 'test', payload: { commit: 'a'.repeat(40) } } },
    'test',
  );
  await sql`update tasks set ready_at = now() - interval '2 seconds' where id = ${task.id}`.execute(db);
  const workerId = await registerByHand(server.stack);
  const asked = { claimant: 'bot', projectIds: [project.id], workerName: 'w', types: ['test'] };
  expect(await desk.claim(asked)).toHaveLength(1);
  const claimed = await claimBuilds(orchestrator, { ...claimer(workerId), projectIds: [project.id] }, 1);
  expect(claimed.map(({ id }) => id)).toEqual([build.id]);
  const series = await readSeries();
  const upTo = (kind: string, seconds: number) =>
    series.get(`slipway_queue_wait_seconds_bucket{kind="${kind}",le="${seconds}"}`);
  expect([upTo('build', 60), upTo('build', 900)]).toEqual([0, 1]);
  expect([upTo('task:test', 1), upTo('task:test', 60)]).toEqual([0, 1]);
});

it('is for tokens of all projects that may read statistics', async () => {
  const statusOf = async (authorization: string) => (await scrape(authorization)).status;
  const tokens = await Promise.all([
    server.createToken({ scopes: ['stats:read'] }),
    server.createToken({ scopes: ['builds:read'] }),
    server.createToken({ scopes: ['stats:read'], projectIds: [v7()] }),
  ]);
  expect(await Promise.all(tokens.map((token) => statusOf(token.authorization)))).toEqual([200, 403, 403]);
  const anonymous = await fetch(`${server.server.url}/metrics`);
  expect(anonymous.status).toBe(401);
  expect(anonymous.headers.get('www-authenticate')).toBe('Bearer');
  expect(anonymous.headers.get('content-type')).toBe('application/problem+json');
});

it('tells nothing rather than a part, and recovers', async () => {
  await using sick = await openFixtureServer();
  const { db } = sick.stack.orchestrator;
  const ask = () => fetch(`${sick.server.url}/metrics`, { headers: { authorization: sick.authorization } });
  expect((await ask()).status).toBe(200);
  await sql`alter table deliveries rename to away`.execute(db);
  const broken = await ask();
  expect({ status: broken.status, type: broken.headers.get('content-type') }).toEqual({
    status: 500,
    type: 'application/problem+json',
  });
  await sql`alter table away rename to deliveries`.execute(db);
  expect((await ask()).status).toBe(200);
});
