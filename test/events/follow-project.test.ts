/** A filter that holds nearly everything back: what following costs, and that what it lets through comes. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { appendEvents } from '../../src/events/append-events.ts';
import type { NewBuildEvent } from '../../src/events/event.ts';
import type { EventHub } from '../../src/events/event-hub.ts';
import { followProject } from '../../src/events/follow-project.ts';
import { projectTopic } from '../../src/events/topics.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { insertBuilds } from '../support/events.ts';
import { openTestHub } from '../support/hub.ts';
import { waitFor } from '../support/wait-for.ts';

const HELD_BACK = 1_000;
const CANCEL: NewBuildEvent = { type: 'CANCEL_REQUESTED', data: { reason: null, requestedBy: 'system' } };
const FINISHED: NewBuildEvent = { type: 'FINISHED', data: { status: 'COMPLETED', reason: null, message: null } };

const opened = new AsyncDisposableStack();
let database: TestDatabase;
let hub: EventHub;
beforeAll(async () => {
  database = opened.use(await openTestDatabase());
  hub = opened.use(await openTestHub(database));
});
afterAll(() => opened.disposeAsync());

it('looks through what is held back once, in a few statements', async () => {
  const [build] = await insertBuilds(database.db);
  if (!build) throw new Error('no build');
  const { buildId, projectId } = build;
  const held = Array.from({ length: HELD_BACK }, () => CANCEL);
  await appendEvents(database.db, { buildId, attemptNo: null }, held);
  let statements = 0;
  const db = database.db.withPlugin({
    transformQuery({ node }) {
      statements += 1;
      return node;
    },
    transformResult: async ({ result }) => result,
  });
  const activity = followProject({ db, hub }, { projectId, after: 0, types: ['FINISHED'] });
  const next = activity.next();
  await waitFor(() => statements === 2);
  await appendEvents(database.db, { buildId, attemptNo: null }, [FINISHED]);
  hub.announce(projectTopic(projectId));
  expect(await next).toMatchObject({ value: { seq: HELD_BACK + 1, event: { type: 'FINISHED' } } });
  expect(statements).toBeLessThanOrEqual(6);
  const waiting = activity.next();
  await activity.return?.();
  expect(await waiting).toEqual({ done: true, value: undefined });
});
