/**
 * Every event of a build, on one page: `BuildEventData` maps each type to what it carries.
 * A milestone also appears in the project's activity; the others are detail for those who watch the build.
 */
import type { BuildPhase, BuildStatus, MessageMode, QuestionState } from './vocabulary.ts';

/** What an agent said or did. Texts are cut to `MAX_EVENT_TEXT` characters; the log has the whole of it. */
export type AgentActivityContent =
  | { readonly kind: 'message' | 'thought'; readonly text: string }
  | { readonly kind: 'tool_call'; readonly callId: string; readonly tool: string; readonly input: unknown }
  | {
      readonly kind: 'tool_result';
      readonly callId: string;
      readonly status: 'ok' | 'failed' | 'denied' | 'aborted';
      readonly output: string | null;
      readonly truncated: boolean;
    }
  | { readonly kind: 'retry'; readonly message: string; readonly reason: string };

/** What an agent asks people while it runs. Texts and inputs are cut to `MAX_EVENT_TEXT`. */
export type AgentRequest =
  | { readonly kind: 'QUESTION'; readonly questions: readonly AgentQuestion[] }
  /** May it use this tool, with this input? */
  | {
      readonly kind: 'PERMISSION';
      readonly tool: string;
      readonly input: unknown;
      readonly description: string | null;
    };

export interface AgentQuestion {
  readonly question: string;
  /** A word or two. */
  readonly header: string | null;
  /** Answers to choose from; people may say something else. */
  readonly options: readonly { readonly label: string; readonly description: string | null }[];
  /** More than one option may be chosen. */
  readonly multiple: boolean;
}

/** Tokens and money. A number that the provider does not report is null: unknown is not zero. */
export interface Usage {
  readonly inputTokens: number | null;
  readonly outputTokens: number | null;
  readonly cacheReadTokens: number | null;
  readonly cacheWriteTokens: number | null;
  /** US dollars. */
  readonly costUsd: number | null;
  readonly turns: number | null;
  /** The same by model, at most 50 of them; absent where the agent does not tell them apart. */
  readonly models?: readonly ModelUsage[];
}

export interface ModelUsage extends Omit<Usage, 'turns' | 'models'> {
  readonly model: string;
}

export interface BuildEventData {
  QUEUED: { readonly runAfter: string | null; readonly retryOf: string | null };
  STARTED: { readonly workerId: string; readonly workerName: string };
  PHASE_CHANGED: { readonly from: BuildPhase; readonly to: BuildPhase };
  PROGRESS: { readonly message: string };
  AGENT_STARTED: {
    readonly provider: string;
    readonly model: string | null;
    readonly sessionId: string | null;
    readonly agentVersion: string | null;
  };
  AGENT_ACTIVITY: { readonly content: AgentActivityContent };
  USAGE_UPDATED: { readonly usage: Usage };
  WARNING: { readonly message: string };
  GIT_COMMITTED: { readonly sha: string; readonly message: string; readonly filesChanged: number };
  GIT_PUSHED: { readonly sha: string; readonly ref: string };
  ARTIFACT_CREATED: { readonly artifactId: string; readonly name: string; readonly sizeBytes: number };
  MESSAGE_SENT: {
    readonly messageId: string;
    readonly mode: MessageMode;
    readonly text: string;
    readonly sentBy: string;
  };
  /** `as`: how the agent was given it, which may be later than it was meant. */
  MESSAGE_DELIVERED: { readonly messageId: string; readonly as: MessageMode };
  /** `expiresAt`, ISO 8601: the default is given then. */
  QUESTION_ASKED: { readonly questionId: string; readonly request: AgentRequest; readonly expiresAt: string };
  /** `closedBy` is null where nobody answered. */
  QUESTION_CLOSED: {
    readonly questionId: string;
    readonly state: Exclude<QuestionState, 'OPEN'>;
    readonly closedBy: string | null;
  };
  CANCEL_REQUESTED: { readonly reason: string | null; readonly requestedBy: string };
  /** `resumeAt`, ISO 8601, where the build waits until then. */
  RETRY_SCHEDULED: { readonly reason: string; readonly message: string; readonly resumeAt?: string };
  FINISHED: { readonly status: BuildStatus; readonly reason: string | null; readonly message: string | null };
}

export type BuildEventType = keyof BuildEventData;

/** An event as its writer gives it; number and time are taken when it is stored. */
export type NewBuildEvent = {
  [T in BuildEventType]: { readonly type: T; readonly data: BuildEventData[T] };
}[BuildEventType];

/** An event as it is stored: `seq` is 1, 2, 3 … per build, without gaps. */
export type BuildEvent = NewBuildEvent & {
  readonly buildId: string;
  readonly seq: number;
  readonly attemptNo: number;
  readonly at: Date;
};

/** Is it a milestone? A table, so that a new type cannot be forgotten. */
export const MILESTONES: Readonly<Record<BuildEventType, boolean>> = {
  QUEUED: true,
  STARTED: true,
  PHASE_CHANGED: true,
  PROGRESS: false,
  AGENT_STARTED: false,
  AGENT_ACTIVITY: false,
  USAGE_UPDATED: false,
  WARNING: false,
  GIT_COMMITTED: true,
  GIT_PUSHED: true,
  ARTIFACT_CREATED: true,
  MESSAGE_SENT: false,
  MESSAGE_DELIVERED: false,
  QUESTION_ASKED: true,
  QUESTION_CLOSED: true,
  CANCEL_REQUESTED: true,
  RETRY_SCHEDULED: true,
  FINISHED: true,
};

export const BUILD_EVENT_TYPES = Object.keys(MILESTONES) as readonly BuildEventType[];

/** The last event of every build; nothing follows it. */
export const TERMINAL_EVENT = 'FINISHED' satisfies BuildEventType;

/** Characters of one text inside an event. */
export const MAX_EVENT_TEXT = 16_384;
