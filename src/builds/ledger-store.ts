/**
 * The contract of what keeps an attempt's record: Postgres (`postgres-ledger.ts`), or a server that has it
 * (`src/remote/api-ledger.ts`). Data only: what goes in and comes out can cross a wire. Every call is fenced by the
 * attempt; entries are numbered, and the same number twice is applied once and answered as the first time.
 */
import type { LogLine } from '../agents/agent.ts';
import type { NewBuildEvent, Usage } from '../events/event.ts';
import type { BuildPhase, MessageMode } from '../events/vocabulary.ts';
import type { GitCredentials } from '../git/askpass.ts';
import type { Project } from '../projects/project.ts';
import type { DayBudget } from './budget.ts';
import type { BuildMessage } from './build-message.ts';
import type { AskedQuestions, BuildQuestion } from './build-question.ts';
import type { FailureReason, ResultArtifact } from './build-result.ts';
import type { Checkpoint, IntendedCommit, Turn } from './checkpoint.ts';
import type { Conclusion } from './finish-build.ts';
import type { Registry } from './npm-config.ts';
import type { QuotaWait } from './quota-pause.ts';
import type { TurnEnd } from './take-turn.ts';

export interface LedgerChanges {
  readonly phase?: BuildPhase;
  readonly events?: readonly NewBuildEvent[];
  readonly lines?: readonly LogLine[];
  /** Members to set; the others stay. */
  readonly checkpoint?: Checkpoint;
  readonly baseSha?: string | null;
  readonly pushedSha?: string;
  /** What the build has used so far in all, over all runs of its agent. */
  readonly usage?: Usage | null;
  readonly talk?: TalkChanges;
}

/** What was said between people and the agent. */
export interface TalkChanges {
  readonly asked?: AskedQuestions;
  /** By the agent's names. `all`: there is nobody any more who waits for an answer. */
  readonly withdrawn?: readonly string[] | 'all';
  readonly delivered?: { readonly ids: readonly string[]; readonly as: MessageMode };
}

/** A file to keep. */
export interface ArtifactFile {
  /** UUIDv7. */
  readonly id: string;
  readonly name: string;
  readonly contentType: string;
}

/** What an attempt writes, each in one transaction. */
export interface LedgerEntries {
  WRITE: { readonly changes: LedgerChanges };
  /** `pack` lets any worker push the commit; null leaves what is kept of it as it is. */
  PUSH_INTENT: { readonly commit: IntendedCommit; readonly pack: Buffer | null };
  /** `content` begins anew each time that it is called. */
  KEEP_ARTIFACT: { readonly file: ArtifactFile; readonly content: () => AsyncIterable<Uint8Array> };
  TAKE_TURN: { readonly end: TurnEnd };
  /** Gives every question that has waited too long the default of the build's spec. */
  EXPIRE_QUESTIONS: object;
  FINISH: { readonly conclusion: Conclusion };
  RELEASE: { readonly message: string };
  LOSE_WORKSPACE: { readonly message: string };
  WAIT_FOR_QUOTA: { readonly wait: QuotaWait };
}

export type EntryType = keyof LedgerEntries;

/** What each of them is answered. */
export interface LedgerAnswers {
  WRITE: null;
  /** False: somebody has asked to cancel. */
  PUSH_INTENT: boolean;
  KEEP_ARTIFACT: ResultArtifact;
  /** Null: there is nothing that the agent is to hear. */
  TAKE_TURN: Turn | null;
  /** False: there was none. */
  EXPIRE_QUESTIONS: boolean;
  FINISH: null;
  RELEASE: null;
  LOSE_WORKSPACE: 'released' | 'finished';
  /** False: somebody has asked to cancel. */
  WAIT_FOR_QUOTA: boolean;
}

/** A secret that is there and cannot be opened. */
export interface UnreadableSecret {
  readonly name: string;
  readonly reason: string;
}

export interface ModelSecret {
  /** Of the credential. */
  readonly id: string;
  readonly key: string;
  readonly baseUrl: string | null;
}

/** The credentials that one build uses, opened. */
export interface OpenedSecrets {
  /** Of the repository's origin, and of no other. */
  readonly git: GitCredentials | UnreadableSecret | null;
  readonly model: ModelSecret | UnreadableSecret | null;
  readonly registries: readonly Registry[];
  /** What nothing of the build may show, as far as whoever runs it can come by it. */
  readonly hidden: readonly string[];
}

/** What an attempt asks: the argument of each question, and its answer. */
export interface LedgerQuestions {
  /** Null: it is gone. */
  project: { readonly asks: object; readonly answer: Project | null };
  /** `variable`: in which the agent takes its key. The credentials count as used from now on. */
  secrets: { readonly asks: { readonly variable: string | null }; readonly answer: OpenedSecrets };
  messages: { readonly asks: object; readonly answer: readonly BuildMessage[] };
  questions: { readonly asks: object; readonly answer: readonly BuildQuestion[] };
  dayBudget: { readonly asks: object; readonly answer: DayBudget };
  /** Of the build whose session this one goes on with. */
  earlierSession: {
    readonly asks: object;
    readonly answer: { readonly sessionId: string | null; readonly usage: Usage | null };
  };
  /** Null: it is kept nowhere. */
  pack: { readonly asks: { readonly sha: string }; readonly answer: Buffer | null };
  artifacts: { readonly asks: object; readonly answer: readonly ResultArtifact[] };
  cancelReason: { readonly asks: object; readonly answer: string | null };
  /** Was that worker in the same place as the one that runs the build? */
  isBeside: { readonly asks: { readonly workerId: string }; readonly answer: boolean };
  /** Tells metrics and traces that the build has ended; why it failed, null when it did not. */
  reportEnd: { readonly asks: object; readonly answer: FailureReason | null };
}

export type QuestionName = keyof LedgerQuestions;

export interface LedgerStore {
  /** Throws SupersededError when the attempt is over. A database or server that does not answer is waited for. */
  commit<T extends EntryType>(number: number, type: T, entry: LedgerEntries[T]): Promise<LedgerAnswers[T]>;
  /** The number of the last entry that was applied. Throws SupersededError. */
  lastNumber(): Promise<number>;
  ask<Q extends QuestionName>(question: Q, asks: LedgerQuestions[Q]['asks']): Promise<LedgerQuestions[Q]['answer']>;
}
