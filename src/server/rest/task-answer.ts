/** A task as REST shows it. */
import { z } from '@hono/zod-openapi';
import { toPublicId } from '../../std/public-id.ts';
import { type ClaimedTask, TASK_STATUSES, type Task } from '../../tasks/task.ts';
import type { TaskStats } from '../../tasks/task-stats.ts';
import { dateTime } from './parameters.ts';

const text = (why: string) => z.string().describe(why);
const count = (why: string) => z.int().describe(why);
const moment = (why: string) => dateTime.describe(why);
/** `nullable` first: a description belongs to the whole. */
const maybe = (schema: z.ZodType, why: string) => schema.nullable().describe(why);

export const taskAnswer = z
  .strictObject({
    id: text('Its id: `task_…`.'),
    projectId: text('The project it belongs to.'),
    type: text('`build`, `test`, `deploy`, or a type of the project.'),
    status: z.enum(TASK_STATUSES).describe('Where it is in its life.'),
    buildId: maybe(z.string(), 'The build that a task of type `build` is; null for every other one.'),
    labels: z
      .array(z.strictObject({ key: text('The key.'), value: text('Any text.') }))
      .describe('For filters and statistics.'),
    runsOn: z.array(z.string()).describe('Labels that a worker must have.'),
    priority: count('Higher goes first.'),
    concurrencyKey: maybe(z.string(), 'Tasks with the same one share a limit.'),
    callbackUrl: maybe(z.string(), 'Who is told about the end.'),
    retry: z
      .strictObject({
        maxAttempts: count('After so many failed attempts it has failed for good.'),
        backoffSeconds: count('After the first failed attempt; each later one waits twice as long.'),
        maxBackoffSeconds: count('The longest of these waits.'),
      })
      .describe('What happens after a failed attempt.'),
    leaseSeconds: count('A worker that is not heard of for so long has lost it.'),
    readyAt: moment('Since when it can be claimed, or from when on.'),
    attempt: count('The attempt that runs or ran last; 0 before the first.'),
    failures: count('Attempts that failed since it was enqueued or requeued.'),
    leaseUntil: maybe(dateTime, 'When the lease of its worker ends; null while nobody has it.'),
    claimedBy: maybe(z.string(), 'Who has or had it last: the token and the worker.'),
    progress: z.unknown().describe('What the worker said last.'),
    lastEventCursor: text('The cursor of its last event.'),
    cancelRequestedAt: maybe(dateTime, 'When somebody asked for its end.'),
    cancelReason: maybe(z.string(), 'What they gave as the reason.'),
    failure: maybe(
      z.strictObject({ reason: text('For people.'), retryable: z.boolean().describe('Another attempt may help.') }),
      'Why the last attempt failed.',
    ),
    deadLetteredAt: maybe(dateTime, 'Since when it has failed for good.'),
    idempotencyKey: maybe(z.string(), 'What it was enqueued with.'),
    requestedBy: text('Who asked for it: `token_…`.'),
    createdAt: moment('When it was accepted.'),
    startedAt: maybe(dateTime, 'When it was claimed last.'),
    finishedAt: maybe(dateTime, 'When it ended.'),
  })
  .openapi('Task');

export function toTaskAnswer(task: Task): z.infer<typeof taskAnswer> {
  const { labels, needs, retry, failure } = task;
  return {
    id: toPublicId('task', task.id),
    projectId: toPublicId('project', task.projectId),
    type: task.type,
    status: task.status,
    buildId: task.isBuild ? toPublicId('build', task.id) : null,
    labels: Object.entries(labels).map(([key, value]) => ({ key, value })),
    runsOn: [...needs],
    priority: task.priority,
    concurrencyKey: task.concurrencyKey,
    callbackUrl: task.callbackUrl,
    retry: {
      maxAttempts: retry.maxAttempts,
      backoffSeconds: retry.backoffSeconds,
      maxBackoffSeconds: retry.maxBackoffSeconds,
    },
    leaseSeconds: task.leaseSeconds,
    readyAt: task.readyAt.toISOString(),
    attempt: task.attemptNo,
    failures: task.failures,
    leaseUntil: iso(task.leaseUntil),
    claimedBy: task.claimedBy,
    progress: task.progress ?? null,
    lastEventCursor: String(task.lastSeq),
    cancelRequestedAt: iso(task.cancelRequestedAt),
    cancelReason: task.cancelReason,
    failure: failure && { reason: failure.reason, retryable: failure.retryable },
    deadLetteredAt: iso(task.deadLetteredAt),
    idempotencyKey: task.idempotencyKey,
    requestedBy: task.requestedBy,
    createdAt: task.createdAt.toISOString(),
    startedAt: iso(task.startedAt),
    finishedAt: iso(task.finishedAt),
  };
}

export const claimedTaskAnswer = z
  .strictObject({
    task: taskAnswer,
    payload: z.unknown().describe('What is to be done, as its type has it.'),
    leaseToken: text('The fence: every later call names it. A secret of this worker.'),
    leaseUntil: moment('Until then the next heartbeat has to arrive.'),
  })
  .openapi('ClaimedTask');

export function toClaimedTaskAnswer(task: ClaimedTask): z.infer<typeof claimedTaskAnswer> {
  const { payload = null, leaseToken, leaseUntil } = task;
  return { task: toTaskAnswer(task), payload, leaseToken, leaseUntil: leaseUntil.toISOString() };
}

export const taskStatsAnswer = z
  .strictObject({
    waiting: count('That could start now.'),
    delayed: count('Whose time has not come: runAfter, or a pause after a failure.'),
    running: count('That a worker has.'),
    dead: count('That have failed for good.'),
    oldestReadyAt: maybe(dateTime, 'Since when the one waits that waits longest.'),
    throughputPerMinute: z.number().describe('Ended, of the last ten minutes.'),
    waitP50Ms: maybe(z.number(), 'Milliseconds until the claim, of the last ten minutes: half of them waited less.'),
    waitP95Ms: maybe(z.number(), 'Milliseconds: 95 of 100 waited less.'),
  })
  .openapi('TaskStats');

export function toTaskStatsAnswer(stats: TaskStats): z.infer<typeof taskStatsAnswer> {
  const { waiting, delayed, running, dead, oldestReadyAt, throughputPerMinute, waitP50Ms, waitP95Ms } = stats;
  return {
    waiting,
    delayed,
    running,
    dead,
    oldestReadyAt: iso(oldestReadyAt),
    throughputPerMinute,
    waitP50Ms,
    waitP95Ms,
  };
}

function iso(date: Date | null): string | null {
  return date?.toISOString() ?? null;
}
