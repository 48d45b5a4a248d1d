/** Why tasks wait: for a worker of Slipway that can run them, or for whoever claims them. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { expect, it } from 'vitest';
import { createApiToken } from '../../src/auth/api-token.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { setTaskType } from '../../src/tasks/task-type.ts';
import { openTestStack } from '../support/orchestrator.ts';
import { enqueueRun } from '../support/task-runs.ts';
import { Api } from './api.ts';

it('says of each task that waits what for', async () => {
  await using stack = await openTestStack();
  const { db } = stack.orchestrator;
  const api = new Api(stack.orchestrator);
  const near = await stack.createProject();
  const far = await stack.createProject({ repositoryUrl: 'https://git.example.com/a.git' });
  await setTaskType(stack.orchestrator, { projectId: null, name: 'paint', schema: { type: 'object' } }, 'test');
  const test = (project: { readonly id: string }, runsOn: string[] = []) =>
    enqueueRun(stack, project, { type: 'test', payload: { command: ['true'] }, runsOn });
  const plain = await test(near);
  const [own, more, distant] = [await test(near, ['rig']), await test(far, ['rig', 'gpu']), await test(far, ['rig'])];
  const custom = await enqueueRun(stack, far, { type: 'paint', payload: {}, runsOn: ['brush'] });
  const spec = { prompt: 'x', runsOn: ['rig'] };
  const { build } = await startBuild(stack.orchestrator, { projectId: near.id, spec }, 'test');
  async function look() {
    const { tasks } = await api.data('{ tasks(first: 20) { nodes { id waitingReason { code message } } } }');
    const found = tasks.nodes as { id: string; waitingReason: { code: string; message: string } }[];
    const reasons = new Map(found.map(({ id, waitingReason: { code, message } }) => [id, [code, message]]));
    return (id: string) => reasons.get(toPublicId('task', id));
  }
  const next = ['NEXT', 'Nothing holds it back: it starts when its turn comes.'];

  const none = await look();
  expect(none(plain)).toEqual(['NO_WORKER', 'No worker that takes tests and deployments lives: start one.']);
  expect(none(distant)?.[1]).toBe(
    'No worker that takes tests and deployments has the label rig. None lives: start one.',
  );
  expect(none(custom)).toEqual(next);

  const scopes = ['work'] as const;
  const token = await createApiToken(db, { name: 'r', scopes, projectIds: null, expiresAt: null, createdBy: 'test' });
  const shared = { host: 'x', process: 'test', version: '1', capacity: 1 };
  const labels = ['rig', 'provider:scripted'];
  const rig = { ...shared, id: v7(), name: 'the rig', labels, token_id: token.id, max_tasks: 1 };
  await db.insertInto('workers').values(rig).execute();
  const remote = await look();
  expect(remote(distant)).toEqual(next);
  expect(remote(more)).toEqual([
    'NO_WORKER',
    'No worker that takes tests and deployments has all the labels gpu, rig. Nearest is the rig, which lacks gpu.',
  ]);
  // A repository in the data folder of the server.
  const elsewhere =
    "has the label rig and is beside the database, where the project's repository is. the rig is elsewhere.";
  expect(remote(own)).toEqual(['NO_WORKER', `No worker that takes tests and deployments ${elsewhere}`]);
  const { waitingReason } = (
    await api.data(`{ build(id: "${toPublicId('build', build.id)}") { waitingReason { code message } } }`)
  ).build;
  expect(waitingReason).toMatchObject({ code: 'NO_WORKER', message: expect.stringContaining('the rig is elsewhere.') });

  await sql`update workers set max_tasks = 0`.execute(db);
  expect((await look())(distant)?.[0]).toBe('NO_WORKER');
  await sql`update workers set max_tasks = 1`.execute(db);
  await sql`select queue_pause(${far.id}, 'me')`.execute(db);
  const paused = await look();
  expect([paused(distant)?.[0], paused(custom)?.[0]]).toEqual(['PROJECT_PAUSED', 'PROJECT_PAUSED']);
});
