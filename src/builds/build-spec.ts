/** What a caller may ask for. One object validates it for every entrance: GraphQL, CLI, retries. */
import { z } from 'zod';
import { refProblem } from '../git/ref-name.ts';
import { networkInput } from '../projects/network-input.ts';
import { type Supersede, supersedeInput } from '../projects/supersede-input.ts';
import type { NetworkAccess } from '../std/network-access.ts';
import { workerLabel } from '../std/worker-label.ts';

/** Bytes of a prompt in UTF-8. */
const MAX_PROMPT_BYTES = 1024 * 1024;
const MAX_LABELS = 32;
const MAX_VARIABLES = 100;

/** Text that Postgres, JSON and a terminal all accept: no NUL and no half of a surrogate pair. */
export function plainText(max: number) {
  return z
    .string()
    .refine((text) => Buffer.byteLength(text) <= max, `must be at most ${max} bytes`)
    .refine((text) => !text.includes('\0'), 'must not contain NUL')
    .refine((text) => text.isWellFormed(), 'must be well-formed Unicode');
}

const name = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, 'must start with a letter and hold only letters, digits and _ (at most 64)');

const labelKey = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/, 'must hold only letters, digits and . _ / - (at most 63)');

function uniqueBy<K extends string>(key: K) {
  return (items: readonly Record<K, string>[]) => new Set(items.map((item) => item[key])).size === items.length;
}

const variables = z
  .array(z.strictObject({ name, value: plainText(64 * 1024) }))
  .max(MAX_VARIABLES)
  .refine(uniqueBy('name'), 'must not name a variable twice');

const labels = z
  .array(z.strictObject({ key: labelKey, value: plainText(256) }))
  .max(MAX_LABELS)
  .refine(uniqueBy('key'), 'must not name a label twice');

/** Builds with the same key of a project do not run at the same time. */
const concurrencyKey = plainText(200).refine((text) => text.trim() !== '', 'must not be empty');

/** Each point is worth a minute of waiting. */
export const priority = z.int().min(-100).max(100);

const workerLabels = z
  .array(workerLabel)
  .max(10)
  .refine((list) => new Set(list).size === list.length, 'must not name a label twice');

/** Seconds: at least one, at most a day. */
const seconds = z.int().min(1).max(86_400);

const limitsInput = z.strictObject({
  wallSeconds: seconds.nullish(),
  silenceSeconds: seconds.nullish(),
  lingerSeconds: seconds.nullish(),
  maxRetries: z.int().min(0).max(1000).nullish(),
  maxTurns: z.int().min(1).max(10_000).nullish(),
  maxTokens: z.int().min(1).max(1_000_000_000_000).nullish(),
  maxCostUsd: z.number().positive().max(10_000).nullish(),
});

const interactionInput = z.strictObject({
  questions: z.boolean().nullish(),
  approvals: z.boolean().nullish(),
  waitSeconds: seconds.nullish(),
  defaultAnswer: plainText(16 * 1024)
    .refine((text) => text.trim() !== '', 'must not be empty')
    .nullish(),
  defaultDecision: z.enum(['APPROVE', 'REJECT']).nullish(),
});

export const buildSpecInput = z.strictObject({
  prompt: plainText(MAX_PROMPT_BYTES).refine((text) => text.trim() !== '', 'must not be empty'),
  template: z.string().max(100).nullish(),
  variables: variables.nullish(),
  autoCommit: z.boolean().nullish(),
  autoPush: z.boolean().nullish(),
  callbackUrl: z.string().max(2048).nullish(),
  provider: z.string().max(100).nullish(),
  model: plainText(200)
    .refine((text) => text.trim() !== '', 'must not be empty')
    .nullish(),
  branch: z
    .string()
    .superRefine((branch, context) => {
      const problem = refProblem(branch);
      if (problem) context.addIssue({ code: 'custom', message: problem, params: { code: 'INVALID_REF' } });
    })
    .nullish(),
  priority: priority.nullish(),
  labels: labels.nullish(),
  concurrencyKey: concurrencyKey.nullish(),
  runsOn: workerLabels.nullish(),
  limits: limitsInput.nullish(),
  network: networkInput.nullish(),
  interaction: interactionInput.nullish(),
  supersede: supersedeInput.nullish(),
  runAfter: z.date().nullish(),
});

export type BuildSpecInput = z.input<typeof buildSpecInput>;

export interface BuildLimits {
  /** Seconds from the agent's start to its end. */
  readonly wallSeconds: number;
  /** Seconds without any output of the agent. */
  readonly silenceSeconds: number;
  /** Seconds that the agent may live after its last word. */
  readonly lingerSeconds: number;
  /** Retries of the provider in a row; an agent may give up earlier by itself. */
  readonly maxRetries: number;
  readonly maxTurns: number | null;
  /** Input and output of all runs of the agent. */
  readonly maxTokens: number | null;
  readonly maxCostUsd: number | null;
}

export const DEFAULT_LIMITS: BuildLimits = {
  wallSeconds: 3600,
  silenceSeconds: 600,
  lingerSeconds: 30,
  maxRetries: 5,
  maxTurns: null,
  maxTokens: null,
  maxCostUsd: null,
};

/** What the agent may ask people while it runs, and what it is told when nobody answers. */
export interface Interaction {
  readonly questions: boolean;
  /** It asks before it uses a tool that can do harm. */
  readonly approvals: boolean;
  /** Seconds that each question waits. */
  readonly waitSeconds: number;
  /** Null: the agent is told that nobody answered, and goes on as it sees fit. */
  readonly defaultAnswer: string | null;
  readonly defaultDecision: 'APPROVE' | 'REJECT';
}

/** Nobody is asked. Also that of builds that say nothing of it, so it never changes. */
export const UNATTENDED: Interaction = {
  questions: false,
  approvals: false,
  waitSeconds: 1800,
  defaultAnswer: null,
  defaultDecision: 'REJECT',
};

/** The agent may ask people something. */
export function mayAsk({ interaction = UNATTENDED }: Pick<BuildSpec, 'interaction'>): boolean {
  return interaction.questions || interaction.approvals;
}

/** Builds of earlier versions lack the limits that are younger than they. */
export function completeLimits(limits: Partial<BuildLimits>): BuildLimits {
  return { ...DEFAULT_LIMITS, ...limits };
}

/**
 * A complete spec: the input with every default filled in. It never changes once the build is accepted. Members that may be
 * absent are so where a build asks for nothing special, which is a third of most specs: what that means never changes.
 */
export interface BuildSpec {
  readonly prompt: string;
  /** `name@version`, pinned when the build was accepted. */
  readonly template: string | null;
  readonly variables: Readonly<Record<string, string>>;
  readonly autoCommit: boolean;
  readonly autoPush: boolean;
  readonly callbackUrl: string | null;
  readonly provider: string;
  readonly model: string | null;
  readonly branch: string;
  readonly priority: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Absent: none. */
  readonly concurrencyKey?: string | null;
  /** Labels that its worker must have. Absent: none. */
  readonly runsOn?: readonly string[];
  readonly limits: BuildLimits;
  /** What the agent may reach besides its model. Absent: `ALL_OF_THE_NETWORK`. */
  readonly network?: NetworkAccess;
  /** Absent: `UNATTENDED`. */
  readonly interaction?: Interaction;
  /** Absent: every build has its turn, `QUEUE_ALL`. */
  readonly supersede?: Supersede;
  /** ISO 8601. */
  readonly runAfter: string | null;
  /** Go on with the agent's session of this build (a UUID without prefix). */
  readonly resumeSessionOf: string | null;
}
