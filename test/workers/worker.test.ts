/** What a worker asks of whoever hands out builds, and when. */
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { ClaimedBuild } from '../../src/builds/build.ts';
import type { AttemptKey } from '../../src/builds/claim-builds.ts';
import { Ledger } from '../../src/builds/ledger.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { SupersededError } from '../../src/errors.ts';
import { QUEUE_TOPIC } from '../../src/events/topics.ts';
import type { Orchestrator } from '../../src/orchestrator.ts';
import { Claims } from '../../src/workers/claims.ts';
import type { FreePlaces } from '../../src/workers/coordinator.ts';
import { PostgresCoordinator } from '../../src/workers/postgres-coordinator.ts';
import { Worker } from '../../src/workers/worker.ts';
import { openTestStack } from '../support/orchestrator.ts';
import { waitFor } from '../support/wait-for.ts';

/** Its builds end as soon as they have begun, and what is asked is counted. */
class CountingCoordinator extends PostgresCoordinator {
  readonly asked = { builds: 0, tasks: 0, heartbeats: 0, most: 0 };
  readonly #own = new Map<string, ClaimedBuild>();

  constructor(orchestrator: Orchestrator, worker: Worker) {
    super(orchestrator, { id: worker.id, name: worker.name, place: orchestrator.runtime.place });
    const { tasks } = this;
    const claim = tasks.claim.bind(tasks);
    tasks.claim = (ask) => {
      this.asked.tasks += 1;
      return claim(ask);
    };
  }

  override async claim(labels: readonly string[], limit: number): Promise<ClaimedBuild[]> {
    this.asked.builds += 1;
    return this.#taken(await super.claim(labels, limit));
  }

  override onCommit(keep: (ending: readonly AttemptKey[]) => Promise<FreePlaces | null>): () => void {
    return super.onCommit(async (ending) => {
      const places = await keep(ending);
      return places && { ...places, release: (end) => places.release({ ...end, claimed: this.#taken(end.claimed) }) };
    });
  }

  #taken(claimed: readonly ClaimedBuild[]): ClaimedBuild[] {
    for (const build of claimed) this.#own.set(build.id, build);
    this.asked.most = Math.max(this.asked.most, this.#own.size);
    const gone = {
      get: () => {
        throw new SupersededError();
      },
    };
    return claimed.map((build) => Object.defineProperty({ ...build }, 'cancelRequestedAt', gone));
  }

  override heartbeat(attempts: Parameters<PostgresCoordinator['heartbeat']>[0]) {
    this.asked.heartbeats += 1;
    return super.heartbeat(attempts);
  }

  override async isElsewhere(buildId: string): Promise<boolean> {
    const build = this.#own.get(buildId);
    this.#own.delete(buildId);
    if (build) await super.openLedger(build).finish({ status: 'COMPLETED', result: { success: true } });
    return false;
  }
}

/** So often do its clocks ask, each of them every two seconds or less often. */
const byClock = (since: number) => 2 + Math.ceil((performance.now() - since) / 2_000);

test('a build that comes where a place is free is claimed as it is accepted: nothing is asked for its sake; a backlog is taken place by place', async () => {
  await using stack = await openTestStack();
  const { orchestrator } = stack;
  const { id: projectId } = await stack.createProject();
  const opened: CountingCoordinator[] = [];
  const openCoordinator = (worker: Worker) => {
    const coordinator = new CountingCoordinator(orchestrator, worker);
    opened.push(coordinator);
    return coordinator;
  };
  await using worker = new Worker({ ...orchestrator, openCoordinator }, { name: 'test', capacity: 2 });
  const { asked } = opened[0] as CountingCoordinator;
  await worker.open();
  const start = () => startBuild(orchestrator, { projectId, spec: { prompt: 'x' } }, 'test');
  const ended = async ({ build }: Awaited<ReturnType<typeof start>>) => {
    await stack.finished(build.id);
    await waitFor(() => worker.running === 0, { what: 'the free place' });
  };
  await ended(await start());
  await waitFor(() => asked.tasks > 0 && asked.heartbeats > 0, { what: 'the first look at all' });

  const before = { ...asked };
  const since = performance.now();
  const lone: string[] = [];
  for (let n = 0; n < 10; n += 1) {
    const started = await start();
    lone.push(started.build.id);
    await ended(started);
  }
  expect(asked.builds - before.builds).toBeLessThanOrEqual(byClock(since));
  const { rows: commits } = await sql<{ n: number }>`
    select count(distinct xmin::text)::int as n from build_events where type in ('QUEUED', 'STARTED') and build_id = any(${lone})
     group by build_id`.execute(orchestrator.db);
  expect(commits.filter(({ n }) => n === 1).length).toBeGreaterThan(7);
  expect(asked.tasks - before.tasks).toBeLessThanOrEqual(byClock(since));
  // All that begin within a quarter of a second are asked about at once.
  const quarters = Math.ceil((performance.now() - since) / 250);
  expect(asked.heartbeats - before.heartbeats).toBeLessThanOrEqual(Math.min(8, quarters) + byClock(since));

  // What waits behind the places of a worker is taken by the commits that make room, and not by its clock or a claim.
  const many = await Promise.all(Array.from({ length: 12 }, start));
  const clock = performance.now();
  const claims = asked.builds;
  for (const one of many) await ended(one);
  expect(asked.most).toBeLessThanOrEqual(2);
  expect(byClock(clock)).toBeLessThan(2 + 12 / 2);
  expect(asked.builds - claims).toBeLessThanOrEqual(2 + byClock(clock));
  const { rows: passed } = await sql`
    select from build_events e where type = 'STARTED' and build_id = any(${many.map(({ build }) => build.id)})
       and exists (select from build_events where type = 'FINISHED' and xmin::text = e.xmin::text)`.execute(
    orchestrator.db,
  );
  expect(passed.length).toBeGreaterThan(5);
  // And a hint that says nothing of its own is heard by both.
  const looks = { ...asked };
  orchestrator.hub.announce(QUEUE_TOPIC);
  await waitFor(() => asked.builds > looks.builds && asked.tasks > looks.tasks, { deadlineMs: 1_500, what: 'a look' });
});

/** What its builds leave behind is not cleaned up before `clean` says so. */
class SlowCoordinator extends CountingCoordinator {
  readonly clean = Promise.withResolvers<void>();

  override async isElsewhere(buildId: string): Promise<boolean> {
    await super.isElsewhere(buildId);
    await this.clean.promise;
    return false;
  }
}

test('a build that has ended has left its place, and no more of these are cleaned up at a time than there are places', async () => {
  await using stack = await openTestStack();
  const { orchestrator } = stack;
  const { db } = orchestrator;
  const { id: projectId } = await stack.createProject();
  const opened: SlowCoordinator[] = [];
  const openCoordinator = (own: Worker) => {
    opened.push(new SlowCoordinator(orchestrator, own));
    return opened.at(-1) as SlowCoordinator;
  };
  await using worker = new Worker({ ...orchestrator, openCoordinator }, { name: 'test', capacity: 1 });
  const { asked, clean } = opened[0] as SlowCoordinator;
  await Promise.all(
    Array.from({ length: 5 }, () => startBuild(orchestrator, { projectId, spec: { prompt: 'x' } }, 'test')),
  );
  await worker.open();
  const count = async (status: 'COMPLETED' | 'PENDING') =>
    (await db.selectFrom('build_audit').select('id').where('status', '=', status).execute()).length;
  await waitFor(async () => (await count('COMPLETED')) === 2, { what: 'the end of two' });
  const looks = { ...asked };
  orchestrator.hub.announce(QUEUE_TOPIC);
  await waitFor(() => asked.tasks > looks.tasks || asked.heartbeats > looks.heartbeats, { what: 'a look' });
  expect([await count('PENDING'), worker.running, asked.builds]).toEqual([3, 2, looks.builds]);
  clean.resolve();
  await waitFor(async () => (await count('COMPLETED')) === 5, { what: 'the others' });
});

test('what ends gives its own place away while others are being filled: none is given twice, and the end waits for all', async () => {
  const running = new Set(['a', 'b', 'c']);
  const attempt = (buildId: string) => ({ buildId, attemptNo: 1 });
  const build = (id: string) => ({ id }) as ClaimedBuild;
  const asked = Promise.withResolvers<number>();
  const answer = Promise.withResolvers<ClaimedBuild[]>();
  /** Builds of all kinds, those that are cleaned up, too. */
  let most = 4;
  const claims = new Claims({
    coordinator: {
      claim: (_labels, limit) => {
        asked.resolve(limit);
        return answer.promise;
      },
    },
    readiness: { isReady: async () => true },
    orders: { heedLately: async () => ({ takesWork: true, isEvicted: false, drain: null, labels: [] }) },
    free: (ending) => Math.min(4 - running.size + ending, most - running.size),
    leave: (ended) => {
      for (const { buildId } of ended) running.delete(buildId);
    },
    endsHere: ({ buildId }) => running.has(buildId),
    runningTasks: () => 0,
    start: ({ id }) => running.add(id),
  });
  const claimed = claims.claim();
  expect(await asked.promise).toBe(1);
  expect(await claims.keep([attempt('a')])).toBeNull();
  most = 8;
  const one = await claims.keep([attempt('a')]);
  const other = await claims.keep([attempt('b'), attempt('elsewhere')]);
  expect([one, other]).toMatchObject([
    { count: 0, ending: [attempt('a')] },
    { count: 0, ending: [attempt('b')] },
  ]);
  expect(await claims.keep([])).toBeNull();
  answer.resolve([build('d')]);
  await claimed;

  const seen: unknown[] = [];
  const settled = claims.settled().then(() => seen.push('settled'));
  seen.push(await claims.places());
  other?.release({ claimed: [build('e')], ended: [attempt('b')], more: true });
  seen.push(await claims.places());
  // It has looked before the other, so it does not know that there is nothing more.
  one?.release({ claimed: [], ended: [attempt('a')], more: false });
  expect([claims.wants, seen]).toEqual([true, [0, 0]]);
  await settled;
  expect([await claims.places(), [...running]]).toEqual([1, ['c', 'd', 'e']]);
});

/** Who keeps the ledgers never answers: no attempt comes to an end. */
class SilentCoordinator extends PostgresCoordinator {
  override openLedger(build: ClaimedBuild): Ledger {
    const never = () => new Promise<never>(() => {});
    return new Ledger({ commit: never, lastNumber: never, ask: never }, build);
  }
}

test('what cannot be let go of holds up the end once, and no longer than the last who asked for it wants', async () => {
  await using stack = await openTestStack();
  const { orchestrator } = stack;
  const { id: projectId } = await stack.createProject();
  const openCoordinator = ({ id, name }: Worker) =>
    new SilentCoordinator(orchestrator, { id, name, place: orchestrator.runtime.place });
  await using worker = new Worker({ ...orchestrator, openCoordinator }, { name: 'test', capacity: 1, leaveMs: 500 });
  await worker.open();
  await startBuild(orchestrator, { projectId, spec: { prompt: 'x' } }, 'test');
  await waitFor(() => worker.running === 1, { what: 'the build' });
  const first = worker.drain(600_000, 'leave');
  await worker.drain(0);
  await first;
  const since = performance.now();
  for (let again = 0; again < 20; again += 1) await worker.drain(0);
  expect(performance.now() - since).toBeLessThan(20 * 500);
});
