/** A rate limit puts builds back into the queue, and those that would begin with the same key wait with them. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Build, findBuild } from '../../src/builds/build.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import type { RunningBuild } from '../../src/builds/running-build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { sessionOf, waitSeconds } from '../../src/builds/wait-for-quota.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;

beforeAll(async () => {
  stack = await openTestStack();
  await stack.openWorker(1);
});

afterAll(async () => {
  await stack[Symbol.asyncDispose]();
});

async function start(prompt: string): Promise<Build> {
  const project = await stack.createProject();
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec: { prompt } }, 'test');
  return build;
}

const eventsOf = (build: Build) => readEvents(stack.orchestrator.db, { buildId: build.id, after: 0, limit: 1_000 });

/** The build once it waits for its provider. */
const waiting = (build: Build) =>
  waitFor(
    async () => {
      const now = await findBuild(stack.orchestrator.db, build.id);
      return now?.waitingFor === 'QUOTA' ? now : null;
    },
    { what: 'the build to wait' },
  );

/** Refused until the file is there; the provider asks for so many seconds. */
function refusedUntil(file: string, retryAfterSeconds: number): string {
  return script(
    { run: `echo run >> ${file}.runs` },
    { usage: { inputTokens: 10, outputTokens: 5, costUsd: 0.25, turns: 1 } },
    { retry: { reason: 'rate_limit', message: 'slow down', retryAfterSeconds } },
    { run: `[ -e ${file} ] || kill -9 $PPID` },
    { write: { path: 'a', content: 'a' } },
  );
}

async function endPauses(): Promise<void> {
  await sql`delete from quota_pauses`.execute(stack.orchestrator.db);
}

test('a refused build waits without a slot, and goes on when the provider said', async () => {
  const folder = join(stack.dataFolder, 'marks');
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'open');
  const build = await start(refusedUntil(file, 3));
  const held = await waiting(build);
  expect(held).toMatchObject({ status: 'PENDING', phase: 'QUEUED', attemptNo: 1, usage: { costUsd: 0.25 } });
  const events = await eventsOf(build);
  expect(events.at(-1)).toMatchObject({
    type: 'RETRY_SCHEDULED',
    data: { reason: 'QUOTA', resumeAt: held.resumeAt?.toISOString() },
  });
  await writeFile(file, '');
  const ended = await stack.finished(build.id);
  expect(ended).toMatchObject({ status: 'COMPLETED', attemptNo: 2, waitingFor: null, resumeAt: null });
  const started = (await eventsOf(build)).findLast((event) => event.type === 'STARTED');
  expect(started?.at.getTime()).toBeGreaterThanOrEqual(held.resumeAt?.getTime() ?? Number.POSITIVE_INFINITY);
  expect(ended.usage).toMatchObject({ inputTokens: 20, costUsd: 0.5, turns: 2 });
  expect(ended.result?.usage).toEqual(ended.usage);
  expect((await readFile(`${file}.runs`, 'utf8')).split('\n').filter(Boolean)).toHaveLength(2);
});

test('builds that would begin with the same key wait with the one that was refused', async () => {
  await endPauses();
  const refused = await start(
    script(
      { retry: { reason: 'rate_limit', message: 'slow', retryAfterSeconds: 600 } },
      { fail: 'no', reason: 'rate_limit' },
    ),
  );
  const { resumeAt } = await waiting(refused);
  const others = await Promise.all(
    Array.from({ length: 5 }, () => start(script({ write: { path: 'a', content: 'a' } }))),
  );
  for (const other of others) {
    const held = await waiting(other);
    expect(held).toMatchObject({ status: 'PENDING', attemptNo: 0, startedAt: null });
    const laterMs = (held.resumeAt?.getTime() ?? 0) - (resumeAt?.getTime() ?? 0);
    expect(laterMs).toBeGreaterThanOrEqual(0);
    expect(laterMs).toBeLessThanOrEqual(20_000);
  }
  const [first] = others;
  if (!first) throw new Error('there are five');
  expect((await eventsOf(first)).map(({ type }) => type)).toEqual(['QUEUED', 'RETRY_SCHEDULED']);
  await Promise.all([refused, ...others].map(({ id }) => cancelBuild(stack.orchestrator, { id }, 'test')));
});

test('a build that waits is cancelled at once', async () => {
  await endPauses();
  const build = await start(
    script(
      { retry: { reason: 'rate_limit', message: 'slow', retryAfterSeconds: 600 } },
      { fail: 'no', reason: 'rate_limit' },
    ),
  );
  await waiting(build);
  const cancelled = await cancelBuild(stack.orchestrator, { id: build.id, reason: 'enough' }, 'test');
  expect(cancelled).toMatchObject({ status: 'CANCELLED', waitingFor: null, resumeAt: null });
});

test('the ninth refusal ends the build', async () => {
  await endPauses();
  const build = await start(
    script(
      { retry: { reason: 'rate_limit', message: 'slow', retryAfterSeconds: 600 } },
      { fail: 'Slow down.', reason: 'rate_limit' },
    ),
  );
  await waiting(build);
  const { db, queue } = stack.orchestrator;
  await endPauses();
  await db.transaction().execute(async (trx) => {
    await trx.updateTable('build_audit').set({ quota_waits: 8 }).where('id', '=', build.id).execute();
    await queue.putBack(trx, build.id, null);
  });
  const ended = await stack.finished(build.id);
  expect(ended).toMatchObject({ status: 'FAILED', failure: { reason: 'PROVIDER_QUOTA', message: 'Slow down.' } });
});

test('an empty account ends the build at once', async () => {
  const build = await start(script({ fail: 'No credit.', reason: 'billing' }));
  expect(await stack.finished(build.id)).toMatchObject({ failure: { reason: 'PROVIDER_QUOTA' }, attemptNo: 1 });
});

test('waits double from one minute to thirty, a quarter more or less; a provider is believed for six hours', () => {
  expect([0, 1, 2, 3, 4, 5, 7].map((waits) => waitSeconds(waits, null, () => 0.5))).toEqual([
    60, 120, 240, 480, 960, 1800, 1800,
  ]);
  fc.assert(
    fc.property(fc.nat(20), fc.double({ min: 0, max: 1, noNaN: true }), (waits, random) => {
      const seconds = waitSeconds(waits, null, () => random);
      expect(seconds).toBeGreaterThanOrEqual(45);
      expect(seconds).toBeLessThanOrEqual(37.5 * 60);
    }),
  );
  expect([0, 7, 1e9].map((asked) => waitSeconds(3, asked))).toEqual([1, 7, 6 * 3600]);
});

test('what was used before counts for the session that was gone on with, and not for one that began anew', () => {
  const used = (costUsd: number) => ({
    ...{ inputTokens: null, outputTokens: null, cacheReadTokens: null, cacheWriteTokens: null, turns: null },
    costUsd,
  });
  const costOf = (resumed: string | null) => {
    const resumedSession = { id: resumed, why: 'MESSAGE', workerId: 'w', usage: used(1), ranMs: 0 } as const;
    const running: Pick<RunningBuild, 'agent' | 'build' | 'ledger'> = JSON.parse(
      JSON.stringify({
        agent: { capabilities: { resume: true, messages: ['QUEUE'] } },
        build: { workerId: 'w' },
        ledger: { checkpoint: { resumedSession } },
      }),
    );
    const outcome = { status: 'succeeded', reason: 'completed', retryable: false, message: null } as const;
    const facts = { finalText: '', sessionId: 'now', usage: used(2), denials: [] };
    return sessionOf(running, { ...outcome, ...facts }, 'MESSAGE').usage?.costUsd;
  };
  expect(costOf('now')).toBe(3);
  expect(costOf(null)).toBe(2);
});
