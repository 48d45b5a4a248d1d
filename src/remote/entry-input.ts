/** What a remote worker may write of its build, checked at the door: nobody else can say it later. */
import { z } from 'zod';
import { FAILURE_REASONS, type FailureReason } from '../builds/build-result.ts';
import type { EntryType, LedgerEntries } from '../builds/ledger-store.ts';
import { MESSAGE_MODES } from '../events/vocabulary.ts';

const PHASES = ['PREPARING', 'AGENT', 'VERIFYING', 'PUBLISHING', 'COLLECTING'] as const;
const MAX_TEXT = 1024 * 1024;

const text = z.string().max(MAX_TEXT);
const line = z.string().max(16_384);
const sha = z.string().regex(/^[0-9a-f]{40,64}$/);
const count = z.number().nonnegative().nullable();
const moment = z.iso.datetime();

const modelUsage = z.object({
  model: line,
  inputTokens: count,
  outputTokens: count,
  cacheReadTokens: count,
  cacheWriteTokens: count,
  costUsd: count,
});
const usage = modelUsage.omit({ model: true }).extend({ turns: count, models: z.array(modelUsage).max(50).optional() });

const question = z.object({
  question: text,
  header: text.nullable(),
  options: z.array(z.object({ label: text, description: text.nullable() })).max(100),
  multiple: z.boolean(),
});
const request = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('QUESTION'), questions: z.array(question).max(100) }),
  z.object({ kind: z.literal('PERMISSION'), tool: text, input: z.json(), description: text.nullable() }),
]);

const content = z.discriminatedUnion('kind', [
  z.object({ kind: z.enum(['message', 'thought']), text }),
  z.object({ kind: z.literal('tool_call'), callId: line, tool: line, input: z.json() }),
  z.object({
    kind: z.literal('tool_result'),
    callId: line,
    status: z.enum(['ok', 'failed', 'denied', 'aborted']),
    output: text.nullable(),
    truncated: z.boolean(),
  }),
  z.object({ kind: z.literal('retry'), message: text, reason: text }),
]);

/** Those that are told by whoever accepts, claims, answers or ends a build are not among them. */
const event = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('PHASE_CHANGED'),
    data: z.object({ from: z.enum(['QUEUED', ...PHASES]), to: z.enum(PHASES) }),
  }),
  z.object({ type: z.literal('PROGRESS'), data: z.object({ message: text }) }),
  z.object({
    type: z.literal('AGENT_STARTED'),
    data: z.object({
      provider: line,
      model: line.nullable(),
      sessionId: line.nullable(),
      agentVersion: line.nullable(),
    }),
  }),
  z.object({ type: z.literal('AGENT_ACTIVITY'), data: z.object({ content }) }),
  z.object({ type: z.literal('USAGE_UPDATED'), data: z.object({ usage }) }),
  z.object({ type: z.literal('WARNING'), data: z.object({ message: text }) }),
  z.object({
    type: z.literal('GIT_COMMITTED'),
    data: z.object({ sha, message: text, filesChanged: z.number() }),
  }),
  z.object({ type: z.literal('GIT_PUSHED'), data: z.object({ sha, ref: line }) }),
]);

const fileChange = z.object({
  path: line,
  status: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'RENAMED']),
  previousPath: line.nullable(),
  additions: z.number().nullable(),
  deletions: z.number().nullable(),
});
const intendedCommit = z.object({
  sha,
  branch: line,
  expected: sha.nullable(),
  filesChanged: z.array(fileChange).max(10_000),
});
const session = z.object({
  id: line.nullable(),
  why: z.enum(['QUOTA', 'MESSAGE', 'LOST']),
  workerId: z.uuid(),
  usage: usage.nullable(),
  ranMs: z.number().nonnegative(),
});
const outcome = z.object({
  status: z.enum(['succeeded', 'failed', 'cancelled']),
  reason: line,
  retryable: z.boolean(),
  message: text.nullable(),
  finalText: text,
  sessionId: line.nullable(),
  usage: usage.nullable(),
  denials: z.array(text).max(10_000),
  retryAfterSeconds: z.number().optional(),
});
const turn = z.object({ messageIds: z.array(z.uuid()).max(1_000), as: z.enum(MESSAGE_MODES) });
const checkpoint = z.strictObject({
  branchSha: sha.nullish(),
  sessionCopied: z.boolean().optional(),
  sessionLost: z.boolean().optional(),
  sessionId: line.nullish(),
  agentStartedAt: moment.nullish(),
  earlierUsage: usage.nullish(),
  pausedSession: session.nullish(),
  resumedSession: session.nullish(),
  turn: turn.nullish(),
  interrupting: z.boolean().optional(),
  runNo: z.int().optional(),
  spoolOffset: z.object({ stdout: z.int(), stderr: z.int() }).nullish(),
  noticesPublished: z.int().nullish(),
  agentOutcome: outcome.nullish(),
  pushProved: z.boolean().optional(),
});

const changes = z.strictObject({
  phase: z.enum(PHASES).optional(),
  events: z.array(event).max(20_000).optional(),
  lines: z
    .array(z.object({ stream: z.enum(['stdout', 'stderr', 'system']), text: z.string() }))
    .max(100_000)
    .optional(),
  checkpoint: checkpoint.optional(),
  baseSha: sha.nullish(),
  pushedSha: sha.optional(),
  usage: usage.nullish(),
  talk: z
    .strictObject({
      asked: z
        .object({
          questions: z.array(z.object({ requestId: line, request })).max(1_000),
          runNo: z.int(),
          waitSeconds: z.number().nonnegative(),
        })
        .optional(),
      withdrawn: z.union([z.literal('all'), z.array(line).max(1_000)]).optional(),
      delivered: z.object({ ids: z.array(z.uuid()).max(1_000), as: z.enum(MESSAGE_MODES) }).optional(),
    })
    .optional(),
});

const artifact = z.object({
  id: z.uuid(),
  name: line,
  contentType: line,
  sizeBytes: z.number().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
const result = z
  .strictObject({
    output: text.nullable(),
    sessionId: line.nullable(),
    usage: usage.nullable(),
    publication: z.enum(['PUSHED', 'COMMITTED', 'NO_CHANGES', 'NONE']),
    commitSha: sha.nullable(),
    commitUrl: line.nullable(),
    branch: line.nullable(),
    filesChanged: z.array(fileChange).max(10_000),
    artifacts: z.array(artifact).max(10_000),
  })
  .partial();
const failure = z.object({
  reason: z.enum(FAILURE_REASONS as [FailureReason, ...FailureReason[]]),
  phase: z.enum(['QUEUED', ...PHASES, 'DONE']),
  message: text,
  retryable: z.boolean(),
  remedy: text,
});
const conclusion = z.discriminatedUnion('status', [
  z.object({ status: z.literal('COMPLETED'), result }),
  z.object({ status: z.literal('FAILED'), result, failure }),
  z.object({ status: z.literal('CANCELLED'), result, reason: text.nullable() }),
]);

/** Bytes that were uploaded before, by the name that the worker gave them. */
const upload = z.object({
  id: z.uuid(),
  sizeBytes: z.int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type Upload = z.output<typeof upload>;

const message = text;

/** By type. What is binary in a `LedgerEntries` was uploaded before. */
export const entryInput = {
  WRITE: z.object({ changes }),
  PUSH_INTENT: z.object({ commit: intendedCommit, pack: upload.nullable() }),
  KEEP_ARTIFACT: z.object({ file: z.object({ id: z.uuid(), name: line, contentType: line }), content: upload }),
  TAKE_TURN: z.object({ end: z.object({ interrupted: z.boolean(), session }) }),
  EXPIRE_QUESTIONS: z.object({}),
  FINISH: z.object({ conclusion }),
  RELEASE: z.object({ message }),
  LOSE_WORKSPACE: z.object({ message }),
  WAIT_FOR_QUOTA: z.object({
    wait: z.object({
      key: z.object({ provider: line, credential: line, variable: line.nullable() }),
      seconds: z.number().nonnegative().max(86_400),
      message,
      paused: session.nullable(),
    }),
  }),
} as const satisfies Record<EntryType, z.ZodType>;

/** What crosses the wire for an entry. */
export type WireEntry<T extends EntryType> = T extends 'PUSH_INTENT'
  ? { readonly commit: LedgerEntries['PUSH_INTENT']['commit']; readonly pack: Upload | null }
  : T extends 'KEEP_ARTIFACT'
    ? { readonly file: LedgerEntries['KEEP_ARTIFACT']['file']; readonly content: Upload }
    : LedgerEntries[T];
