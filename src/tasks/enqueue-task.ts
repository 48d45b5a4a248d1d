/** Accept one task of a project: durable and in the queue when this resolves, and written once per idempotency key. */
import { v7 } from 'uuid';
import { buildSpecInput } from '../builds/build-spec.ts';
import { hashInput, type InputHash } from '../builds/input-hash.ts';
import { checkIdempotencyKey, type StartBuildDeps, startBuild } from '../builds/start-build.ts';
import type { Config } from '../config/config.ts';
import { audit } from '../database/audit.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';
import {
  IdempotencyConflictError,
  InvalidInputError,
  inputIssues,
  NotFoundError,
  ProjectNotReadyError,
} from '../errors.ts';
import { type Topic, taskTopic } from '../events/topics.ts';
import { findProject } from '../projects/project.ts';
import { failpoint } from '../std/failpoint.ts';
import { outboundUrlProblem } from '../std/outbound-url.ts';
import { toPublicId } from '../std/public-id.ts';
import { defaultKey } from '../task-runs/task-payload.ts';
import { checkPayload } from './check-payload.ts';
import { addToQueue } from './queue-task.ts';
import { BUILD_TYPE, findTask, ownTask, type Task } from './task.ts';
import { appendTaskEvents } from './task-events.ts';
import { type EnqueueTaskInput, enqueueTaskInput } from './task-input.ts';

const DEFAULT_ATTEMPTS = 3;
const DEFAULT_BACKOFF_SECONDS = 5;
const DEFAULT_MAX_BACKOFF_SECONDS = 300;
const DEFAULT_LEASE_SECONDS = 60;

export interface EnqueueDeps extends StartBuildDeps {
  readonly config: StartBuildDeps['config'] & Pick<Config, 'callbackAllowPrivate'>;
}

export interface EnqueueTask {
  /** UUID. */
  readonly projectId: string;
  readonly task: EnqueueTaskInput;
  readonly idempotencyKey?: string | null | undefined;
}

export interface EnqueuedTask {
  readonly task: Task;
  /** The task was there before: same key, same input. */
  readonly deduplicated: boolean;
}

interface Wanted extends EnqueueTask {
  readonly key: string | null;
  readonly hash: InputHash | null;
  readonly actor: string;
}

/** The project already has a task with this idempotency key. */
class KeyTaken extends Error {}

/**
 * A task of type `build` is a build: the rules of `startBuild` hold, and its payload is the build's spec. Throws
 * InvalidInputError, NotFoundError, ProjectNotReadyError, IdempotencyConflictError, and what startBuild throws; nothing is
 * written then.
 */
export async function enqueueTask(deps: EnqueueDeps, input: EnqueueTask, actor: string): Promise<EnqueuedTask> {
  const key = checkIdempotencyKey(input.idempotencyKey);
  const parsed = enqueueTaskInput.safeParse(input.task);
  if (!parsed.success) throw new InvalidInputError(inputIssues(parsed.error, ['input']));
  if (input.task.type === BUILD_TYPE) return enqueueBuild(deps, input, actor);
  const project = await findProject(deps.db, input.projectId);
  if (!project) throw new NotFoundError('project', toPublicId('project', input.projectId));
  const hash = key === null ? null : hashInput(deps, { task: input.task });
  const wanted = { ...input, key, hash, actor };
  const earlier = await findSame(deps.db, wanted);
  if (earlier) return earlier;
  refuseUrl(deps, input.task.callbackUrl);
  if (project.status !== 'ACTIVE') throw new ProjectNotReadyError('The project is not active, so it takes no tasks.');
  await checkPayload(deps.db, { projectId: project.id, type: input.task.type, payload: input.task.payload });
  const topics: Topic[] = [];
  try {
    const task = await inTransaction(deps.db, (trx) => {
      topics.length = 0;
      return acceptTask(trx, deps, wanted, topics);
    });
    await failpoint('enqueue.committed');
    deps.hub.announce(...topics);
    return { task, deduplicated: false };
  } catch (error) {
    // Another request with this key was faster; its commit is what refused ours, so it can be read now.
    const winner = error instanceof KeyTaken ? await findSame(deps.db, wanted) : null;
    if (!winner) throw error;
    return winner;
  }
}

/** What the other members say is a part of the build's spec; where the payload says it, too, the payload counts. */
async function enqueueBuild(deps: EnqueueDeps, input: EnqueueTask, actor: string): Promise<EnqueuedTask> {
  const { type, payload, retry, leaseSeconds, ...rest } = input.task;
  if (retry || leaseSeconds) {
    const path = ['input', retry ? 'retry' : 'leaseSeconds'];
    throw new InvalidInputError([
      { path, message: `is not for tasks of type ${type}: builds have rules of their own` },
    ]);
  }
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null && value !== undefined));
  const known = new Set(Object.keys(buildSpecInput.shape));
  const foreign = Object.keys(given).filter((name) => !known.has(name));
  if (foreign.length > 0) {
    const message = `is not for tasks of type ${type}`;
    throw new InvalidInputError(foreign.map((name) => ({ path: ['input', name], message })));
  }
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    throw new InvalidInputError([{ path: ['input', 'payload'], message: "must be the build's spec: an object" }]);
  }
  const { runAfter, resumeFrom, ...members } = payload as Record<string, unknown>;
  const at = typeof runAfter === 'string' ? { runAfter: new Date(runAfter) } : {};
  if (resumeFrom !== undefined) {
    const message = 'is not for tasks: use startBuild';
    throw new InvalidInputError([{ path: ['input', 'payload', 'resumeFrom'], message }]);
  }
  const spec = buildSpecInput.safeParse({ ...given, ...members, ...at });
  if (!spec.success) throw new InvalidInputError(inputIssues(spec.error, ['input', 'payload']));
  const { projectId, idempotencyKey } = input;
  const started = await startBuild(deps, { projectId, spec: spec.data, idempotencyKey }, actor);
  const task = await findTask(deps.db, started.build.id);
  if (!task) throw new NotFoundError('task', toPublicId('task', started.build.id));
  return { task, deduplicated: started.deduplicated };
}

function refuseUrl({ config }: EnqueueDeps, url: string | null | undefined): void {
  if (url === null || url === undefined) return;
  const problem = outboundUrlProblem(url, { allowPrivate: config.callbackAllowPrivate ?? false });
  if (problem) {
    throw new InvalidInputError([{ path: ['input', 'callbackUrl'], message: problem }], 'CALLBACK_URL_DENIED');
  }
}

async function findSame(db: Database, { projectId, key, hash }: Wanted): Promise<EnqueuedTask | null> {
  if (key === null) return null;
  const row = await db
    .selectFrom('tasks')
    .selectAll()
    .where('project_id', '=', projectId)
    .where('idempotency_key', '=', key)
    .executeTakeFirst();
  if (!row) return null;
  if (!hash?.matches(row.input_hash)) throw new IdempotencyConflictError(row.id);
  return { task: ownTask(row), deduplicated: true };
}

async function acceptTask(
  trx: DatabaseTransaction,
  { queue }: EnqueueDeps,
  wanted: Wanted,
  topics: Topic[],
): Promise<Task> {
  const { projectId, task, key, hash, actor } = wanted;
  const backoff = task.retry?.backoffSeconds ?? DEFAULT_BACKOFF_SECONDS;
  const inserted = await trx
    .insertInto('tasks')
    .values({
      id: v7(),
      project_id: projectId,
      type: task.type,
      payload: JSON.stringify(task.payload ?? null),
      labels: JSON.stringify(Object.fromEntries((task.labels ?? []).map((label) => [label.key, label.value]))),
      needs: [...new Set(task.runsOn ?? [])],
      priority: task.priority ?? 0,
      concurrency_key: task.concurrencyKey ?? defaultKey(task),
      callback_url: task.callbackUrl ?? null,
      max_attempts: task.retry?.maxAttempts ?? DEFAULT_ATTEMPTS,
      backoff_seconds: backoff,
      max_backoff_seconds: Math.max(task.retry?.maxBackoffSeconds ?? DEFAULT_MAX_BACKOFF_SECONDS, backoff),
      lease_seconds: task.leaseSeconds ?? DEFAULT_LEASE_SECONDS,
      ...(task.runAfter ? { ready_at: task.runAfter } : {}),
      idempotency_key: key,
      input_hash: hash?.text ?? null,
      requested_by: actor,
    })
    .onConflict((conflict) => conflict.columns(['project_id', 'idempotency_key']).doNothing())
    .returningAll()
    .executeTakeFirst();
  if (!inserted) throw new KeyTaken();
  const { id } = inserted;
  const runAfter = task.runAfter ?? null;
  await appendTaskEvents(trx, id, [{ type: 'QUEUED', data: { runAfter: runAfter?.toISOString() ?? null } }]);
  topics.push(taskTopic(id), ...(await addToQueue(trx, queue, ownTask(inserted), runAfter)));
  await audit(trx, { actor, action: 'enqueueTask', subjectType: 'task', subjectId: id, projectId });
  await failpoint('enqueue.written');
  return { ...ownTask(inserted), lastSeq: 1 };
}
