/** What a caller may send. One object validates it for every entrance: GraphQL, REST, CLI. */
import { z } from 'zod';
import { buildSpecInput, plainText } from '../builds/build-spec.ts';
import { jsonProblem } from '../std/json-problem.ts';
import { workerLabel } from '../std/worker-label.ts';

const MAX_PAYLOAD_BYTES = 256 * 1024;
const MAX_RESULT_BYTES = 64 * 1024;
const MAX_PROGRESS_BYTES = 8 * 1024;
const MAX_SCHEMA_BYTES = 64 * 1024;
/** Seconds that a claim waits for a task, at most. */
export const MAX_WAIT_SECONDS = 60;
/** Tasks of one claim. */
export const MAX_CLAIMED = 50;
const MAX_WORKER_LABELS = 64;

/** JSON that Postgres stores and gives back. */
function json(maxBytes: number) {
  return z.unknown().superRefine((value, context) => {
    const problem = jsonProblem(value, maxBytes);
    if (problem) context.addIssue({ code: 'custom', message: problem });
  });
}

const text = (max: number) => plainText(max).refine((value) => value.trim() !== '', 'must not be empty');

const taskTypeName = z
  .string()
  .regex(/^[a-z][a-z0-9._-]{0,62}$/, 'must begin with a-z and hold only a-z, 0-9 and . _ - (at most 63)');

const workerLabels = z.array(workerLabel).max(MAX_WORKER_LABELS);

const seconds = (max: number) => z.int().min(0).max(max);

/** Seconds after the first failed attempt; each later one waits twice as long, up to the maximum. */
const retryRuleInput = z.strictObject({
  maxAttempts: z.int().min(1).max(100).nullish(),
  backoffSeconds: seconds(86_400).nullish(),
  maxBackoffSeconds: seconds(604_800).nullish(),
});

export const enqueueTaskInput = z.strictObject({
  type: taskTypeName,
  payload: json(MAX_PAYLOAD_BYTES),
  priority: z.int().min(-100).max(100).nullish(),
  labels: buildSpecInput.shape.labels,
  /** Labels that a worker must have. */
  runsOn: z.array(workerLabel).max(32).nullish(),
  concurrencyKey: text(200).nullish(),
  runAfter: z.date().nullish(),
  callbackUrl: z.string().max(2048).nullish(),
  retry: retryRuleInput.nullish(),
  leaseSeconds: z.int().min(5).max(3600).nullish(),
});
export type EnqueueTaskInput = z.input<typeof enqueueTaskInput>;

export const claimTasksInput = z.strictObject({
  /** Names the worker among those of its token. */
  workerName: text(100),
  types: z
    .array(taskTypeName)
    .min(1)
    .max(50)
    .refine((types) => !types.includes('build'), 'must not hold build: builds are claimed by workers of Slipway'),
  /** What the worker has. */
  labels: workerLabels.nullish(),
  waitSeconds: z.number().min(0).max(MAX_WAIT_SECONDS).nullish(),
  max: z.int().min(1).max(MAX_CLAIMED).nullish(),
  /** Chosen anew for each claim, and sent again with it when its answer was lost. */
  claimId: text(100).nullish(),
});
export type ClaimTasksInput = z.input<typeof claimTasksInput>;

const leaseToken = z.guid('must be the leaseToken of the claim');

export const heartbeatTaskInput = z.strictObject({
  leaseToken,
  /** Absent or null: as it was. */
  progress: json(MAX_PROGRESS_BYTES).optional(),
});
export type HeartbeatTaskInput = z.input<typeof heartbeatTaskInput>;

export const completeTaskInput = z.strictObject({ leaseToken, result: json(MAX_RESULT_BYTES).optional() });
export type CompleteTaskInput = z.input<typeof completeTaskInput>;

export const failTaskInput = z.strictObject({
  leaseToken,
  reason: text(4_096),
  /** By default true. */
  retryable: z.boolean().nullish(),
  /** What there is to show all the same. */
  result: json(MAX_RESULT_BYTES).optional(),
});
export type FailTaskInput = z.input<typeof failTaskInput>;

export const releaseTaskInput = z.strictObject({ leaseToken });
export type ReleaseTaskInput = z.input<typeof releaseTaskInput>;

export const cancelTaskInput = z.strictObject({ reason: plainText(1_000).nullish() });
export type CancelTaskInput = z.input<typeof cancelTaskInput>;

export const setTaskTypeInput = z.strictObject({
  name: taskTypeName.refine((name) => !['build', 'test', 'deploy'].includes(name), 'is a type of Slipway itself'),
  schema: json(MAX_SCHEMA_BYTES).refine(
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    'must be a JSON Schema: an object',
  ),
});
export type SetTaskTypeInput = z.input<typeof setTaskTypeInput>;
