/** What a remote worker and a server say to each other, apart from the entries of a ledger. */
import { z } from 'zod';
import type { ClaimedBuild } from '../builds/build.ts';
import type { AttemptKey } from '../builds/claim-builds.ts';
import type { EntryType, QuestionName } from '../builds/ledger-store.ts';
import type { Project } from '../projects/project.ts';
import { workerLabelsProblem } from '../std/worker-label.ts';
import type { OpenedTaskSecrets } from '../task-runs/task-run.ts';
import type { Standing } from '../workers/standing.ts';
import type { LeasedTask } from '../workers/task-coordinator.ts';
import { entryInput } from './entry-input.ts';

/** Below the server's address. */
export const WORKER_PATH = '/worker/v1';
/** Bytes of one piece of an upload. */
export const PIECE_BYTES = 1024 * 1024;
/** Bytes of a body as it is sent, and unpacked. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024;
export const MAX_UNPACKED_BYTES = 64 * 1024 * 1024;
/** A hint is waited for so long. */
export const MAX_HINT_SECONDS = 25;
/** Builds of one worker, and of one question about them. */
export const MAX_BUILDS = 1_000;

const name = z.string().min(1).max(500);
const capabilities = z.object({
  resume: z.boolean(),
  cost: z.boolean(),
  models: z.boolean(),
  messages: z.array(z.enum(['QUEUE', 'STEER', 'INTERRUPT'])).max(3),
  questions: z.boolean(),
  permissions: z.boolean(),
});
const agentReport = z.object({
  name,
  capabilities,
  keyed: z.boolean(),
  available: z.boolean(),
  version: name.nullable(),
  reason: z.string().max(2_000).nullable(),
  remedy: z.string().max(2_000).nullable(),
});
const agents = z.array(agentReport).max(100);
const workerLabels = z.array(name).superRefine((labels, context) => {
  const problem = workerLabelsProblem(labels);
  if (problem) context.addIssue({ code: 'custom', message: problem });
});
const attempt = z.object({ buildId: z.uuid(), attemptNo: z.int().min(1) });
const lease = z.object({ id: z.uuid(), leaseToken: z.guid() });
/** JSON, which is checked as everybody's. */
const result = z.unknown();
const drift = z.object({ agent: name, version: name, name: z.string().max(1_000), count: z.int().min(1) });

/** By what is asked of the server. */
export const requests = {
  register: z.object({
    name,
    /** That of its runtime. */
    place: name,
    process: z.string().max(1_000),
    version: name,
    capacity: z.int().min(1).max(10_000),
    tasks: z.int().min(0).max(10_000).optional(),
    agents,
    runtime: name.regex(/^[a-z-]+$/).optional(),
    labels: workerLabels.optional(),
    hardware: z.object({ cpus: z.int().min(1), memoryBytes: z.int().min(0), platform: name, arch: name }).optional(),
  }),
  dead: z.object({
    workerIds: z.array(z.uuid()).max(MAX_BUILDS),
    /** For so many of their builds it has room. Absent: it is of an earlier version, and would not begin them. */
    places: z.int().min(0).max(MAX_BUILDS).optional(),
  }),
  claim: z.object({ labels: z.array(name).max(200), limit: z.int().min(1).max(MAX_BUILDS) }),
  standing: z.object({}),
  heartbeat: z.object({ attempts: z.array(attempt).max(MAX_BUILDS) }),
  hints: z.object({
    buildIds: z.array(z.uuid()).max(MAX_BUILDS),
    seconds: z.number().min(0).max(MAX_HINT_SECONDS),
    /** Absent: it takes none. */
    tasks: z.array(lease).max(MAX_BUILDS).optional(),
  }),
  'give-back': z.object({ attempt }),
  elsewhere: z.object({ buildId: z.uuid() }),
  remains: z.object({ buildIds: z.array(z.uuid()).max(MAX_BUILDS) }),
  agents: z.object({ agents }),
  drift: z.object({ drift: z.array(drift).max(MAX_BUILDS) }),
  drain: z.object({}),
  stop: z.object({}),
  'claim-tasks': z.object({
    labels: z.array(name).max(200),
    max: z.int().min(1).max(MAX_BUILDS),
    held: z.array(lease).max(2 * MAX_BUILDS),
  }),
  'task-heartbeat': z.object({ lease }),
  'task-complete': z.object({ lease, result }),
  'task-fail': z.object({ lease, reason: z.string().max(10_000), retryable: z.boolean(), result }),
  'task-release': z.object({ lease }),
  'task-project': z.object({ lease }),
  'task-secrets': z.object({ lease }),
} as const;

export type RequestName = keyof typeof requests;
export type RequestOf<R extends RequestName> = z.input<(typeof requests)[R]>;

/** What each of them is answered. */
export interface Answers {
  register: {
    readonly leaseSeconds: number;
    /** Other workers of its place that have not said that they ended. */
    readonly neighbours: readonly { readonly id: string; readonly process: string }[];
  };
  /** What goes on with it. Null: the server is of an earlier version. */
  dead: readonly ClaimedBuild[] | null;
  claim: readonly ClaimedBuild[];
  standing: Standing;
  heartbeat: {
    readonly standing: Standing;
    readonly owned: readonly {
      readonly buildId: string;
      readonly cancelRequested: boolean;
      readonly talkNo: number;
    }[];
    readonly unknown: readonly AttemptKey[];
  };
  hints: {
    readonly work: boolean;
    readonly tasks: boolean;
    readonly orders: boolean;
    readonly told: readonly string[];
  };
  'give-back': null;
  elsewhere: boolean;
  remains: readonly { id: string; remains: 'ended' | 'expired' | 'elsewhere'; attemptNo: number | null }[];
  agents: null;
  drift: null;
  drain: null;
  stop: null;
  'claim-tasks': readonly LeasedTask[];
  'task-heartbeat': { readonly letGo: boolean };
  'task-complete': null;
  'task-fail': null;
  'task-release': null;
  'task-project': Project | null;
  'task-secrets': OpenedTaskSecrets;
}

const none = z.object({});

/** By the question of a ledger. */
export const questionInput = {
  project: none,
  secrets: z.object({ variable: z.string().max(200).nullable() }),
  messages: none,
  questions: none,
  dayBudget: none,
  earlierSession: none,
  pack: z.object({ sha: z.string().regex(/^[0-9a-f]{40,64}$/) }),
  artifacts: none,
  cancelReason: none,
  isBeside: z.object({ workerId: z.uuid() }),
  reportEnd: none,
} as const satisfies Record<QuestionName, z.ZodType>;

export const isEntryType = (type: string): type is EntryType => Object.hasOwn(entryInput, type);
export const isQuestionName = (question: string): question is QuestionName => Object.hasOwn(questionInput, question);
export const isRequestName = (request: string): request is RequestName => Object.hasOwn(requests, request);
