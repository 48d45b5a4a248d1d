/** Two projects that have one of everything each: what is ours can be told from what is theirs. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { insertArtifacts } from '../../src/artifacts/artifact.ts';
import { createApiToken, revokeApiToken } from '../../src/auth/api-token.ts';
import { createEnrolment } from '../../src/auth/enrolment.ts';
import { sendMessage } from '../../src/builds/send-message.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { setCredential } from '../../src/credentials/set-credential.ts';
import { archiveProject } from '../../src/projects/change-project.ts';
import { createSchedule } from '../../src/schedules/change-schedule.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { enqueueTask } from '../../src/tasks/enqueue-task.ts';
import { setTaskType } from '../../src/tasks/task-type.ts';
import { completeTask } from '../../src/tasks/work-on-task.ts';
import { askByHand, question } from '../support/ask.ts';
import { claimByHand, registerByHand } from '../support/claim.ts';
import type { TestStack } from '../support/orchestrator.ts';
import { finish, print } from './finish.ts';

/** Public ids, but for `projectUuids`: what the list of a token has. */
export interface Belongings {
  readonly projectUuids: readonly string[];
  readonly project: string;
  readonly slug: string;
  /** Takes no more builds. */
  readonly archived: string;
  /** Has a callback, an artifact, a log, and the idempotency key `key`. */
  readonly finished: string;
  readonly running: string;
  readonly waiting: string;
  readonly artifact: string;
  readonly delivery: string;
  /** To the agent of the running build, and what that asks. */
  readonly message: string;
  readonly question: string;
  /** Is completed; another one of its type waits. */
  readonly task: string;
  readonly taskType: string;
  /** One that is deleted stays. */
  readonly schedule: string;
}

export interface World {
  readonly ours: Belongings;
  readonly theirs: Belongings;
  readonly worker: string;
  /** A worker that runs nothing. */
  readonly idle: string;
  readonly enrolment: string;
  /** No longer works. */
  readonly revokedToken: string;
}

/** In every text of ours that a foreign token must not see. */
export const OURS = 'OURS';

export async function createWorld(stack: TestStack): Promise<World> {
  const { orchestrator } = stack;
  const workerId = await registerByHand(stack);
  await sql`create rule keep as on delete to schedules do instead nothing`.execute(orchestrator.db);
  const ours = await createBelongings(stack, { mark: OURS, workerId });
  const theirs = await createBelongings(stack, { mark: 'THEIRS', workerId });
  const rights = { scopes: ['admin'], projectIds: null, expiresAt: null, createdBy: 'test' } as const;
  const { id } = await createApiToken(orchestrator.db, { name: 'revoked', ...rights });
  await revokeApiToken(orchestrator.db, id, 'test');
  const enrolment = { name: 'worker', labels: null, projectIds: null, expiresInMinutes: 1 };
  return {
    ours,
    theirs,
    worker: toPublicId('worker', workerId),
    idle: toPublicId('worker', await registerByHand(stack, 'elsewhere')),
    enrolment: toPublicId('enrolment', (await createEnrolment(orchestrator.db, enrolment, 'test')).enrolment.id),
    revokedToken: toPublicId('token', id),
  };
}

async function createBelongings(
  stack: TestStack,
  { mark, workerId }: { readonly mark: string; readonly workerId: string },
): Promise<Belongings> {
  const { orchestrator } = stack;
  const { id: projectUuid, slug } = await stack.createProject({ name: mark });
  const old = await stack.createProject({ name: `${mark} before` });
  await archiveProject(orchestrator, old.id, 'test');
  const start = async (name: string) => {
    const spec = { prompt: `${mark} ${name}`, provider: 'scripted', callbackUrl: `http://127.0.0.1:9/${mark}` };
    const { build } = await startBuild(orchestrator, { projectId: projectUuid, spec, idempotencyKey: name }, 'test');
    return build.id;
  };
  const finished = await start('finished');
  await print(orchestrator, finished, [`${mark} line`]);
  await finish(orchestrator, finished);
  const running = await start('running');
  await claimByHand(stack, workerId);
  const text = { buildId: running, text: `${mark} message`, mode: 'QUEUE' } as const;
  const { message } = await sendMessage(orchestrator, text, 'test');
  const asked = await askByHand(stack, running, { kind: 'QUESTION', questions: [question(`${mark} question`)] });
  const waiting = await start('waiting');
  const file = { buildId: finished, contentType: 'text/plain', sizeBytes: 1, sha256: '' };
  const artifact = v7();
  await orchestrator.db
    .transaction()
    .execute((trx) => insertArtifacts(trx, [{ ...file, id: artifact, name: `${mark}.txt` }]));
  const rule = { projectId: projectUuid, name: mark, cron: '@yearly', spec: { prompt: mark } };
  const schedule = await createSchedule(orchestrator, rule, 'test');
  const input = {
    projectId: projectUuid,
    name: mark,
    registry: { url: 'https://npm.example.com/', token: 'x'.repeat(20) },
  };
  await orchestrator.db.transaction().execute((trx) => setCredential(trx, orchestrator, { input, actor: 'test' }));
  const taskType = `${mark.toLowerCase()}-type`;
  await setTaskType(orchestrator, { projectId: projectUuid, name: taskType, schema: {} }, 'test');
  const wanted = { type: taskType, payload: `${mark} payload`, labels: [{ key: 'mark', value: mark }] };
  const { task } = await enqueueTask(
    orchestrator,
    { projectId: projectUuid, task: { ...wanted, callbackUrl: 'http://127.0.0.1:9/' }, idempotencyKey: 'task' },
    'test',
  );
  const mine = { claimant: mark, projectIds: [projectUuid], workerName: mark, types: [taskType] };
  const [claimed] = await orchestrator.desk.claim(mine);
  if (!claimed) throw new Error('nothing was claimed');
  await completeTask(orchestrator, { id: task.id, leaseToken: claimed.leaseToken, result: `${mark} result` });
  await enqueueTask(orchestrator, { projectId: projectUuid, task: wanted }, 'test');
  const delivery = await orchestrator.db
    .selectFrom('deliveries')
    .select('id')
    .where('build_id', '=', finished)
    .executeTakeFirstOrThrow();
  return {
    projectUuids: [projectUuid, old.id],
    project: toPublicId('project', projectUuid),
    slug,
    archived: toPublicId('project', old.id),
    finished: toPublicId('build', finished),
    running: toPublicId('build', running),
    waiting: toPublicId('build', waiting),
    artifact: toPublicId('artifact', artifact),
    delivery: toPublicId('delivery', delivery.id),
    message: toPublicId('message', message.id),
    question: toPublicId('question', asked),
    task: toPublicId('task', task.id),
    taskType,
    schedule: toPublicId('schedule', schedule.id),
  };
}
