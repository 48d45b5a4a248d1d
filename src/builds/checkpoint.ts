/** What an attempt leaves on the build's row so that the next one goes on instead of starting over. */
import type { AgentOutcome } from '../agents/agent.ts';
import type { Usage } from '../events/event.ts';
import type { MessageMode } from '../events/vocabulary.ts';
import type { FileChange } from '../git/changes.ts';
import type { SpoolOffset } from '../runtimes/runtime.ts';

/** Members are set one by one; null takes one back. */
export interface Checkpoint {
  /** Where the build's branch stood on the remote when the checkout was made; null when it did not exist. */
  readonly branchSha?: string | null;
  /** The files of the session to resume are in the workspace. */
  readonly sessionCopied?: boolean;
  /** The agent did not know the session to resume, although its files were there: it begins without it. */
  readonly sessionLost?: boolean;
  /** Chosen before the agent starts. */
  readonly sessionId?: string | null;
  /** ISO 8601; the wall clock of the agent counts from here, over all attempts. */
  readonly agentStartedAt?: string | null;
  /** What earlier runs of the agent in this build used: that of the present run comes on top. */
  readonly earlierUsage?: Usage | null;
  /** The agent met a rate limit, or people told it something: its checkout is as it left it, and this session goes on there. */
  readonly pausedSession?: PausedSession | null;
  /** What the present run of the agent goes on with after such a pause. */
  readonly resumedSession?: PausedSession | null;
  /** What people said that the present run of the agent begins with, or the next one while `pausedSession` is set. */
  readonly turn?: Turn | null;
  /** The present run is being stopped for a message: that it was killed says nothing about the task. */
  readonly interrupting?: boolean;
  /** Counts the runs of the agent, so that an answer reaches the run that asked. */
  readonly runNo?: number;
  /** Output up to here is published. */
  readonly spoolOffset?: SpoolOffset | null;
  /** How many notices of the run are published. */
  readonly noticesPublished?: number | null;
  /** Set once the agent has ended: it is never run again while its checkout is there. */
  readonly agentOutcome?: AgentOutcome | null;
  /** Set together with the push intent. */
  readonly commit?: IntendedCommit;
  /** The commit was seen on the remote: from then on the remote is nobody's business but its users'. */
  readonly pushProved?: boolean;
}

export interface IntendedCommit {
  readonly sha: string;
  readonly branch: string;
  /** Where the branch must stand for the push to happen; null: it must not exist. */
  readonly expected: string | null;
  readonly filesChanged: readonly FileChange[];
}

/** Messages that the agent is given as the prompt of a run. */
export interface Turn {
  readonly messageIds: readonly string[];
  readonly as: MessageMode;
}

export interface PausedSession {
  /** As the agent names it; null where it has none that can be gone on with: then a new one begins on its checkout. */
  readonly id: string | null;
  /** A rate limit, a message that begins another run, or the agent was killed together with its worker. */
  readonly why: 'QUOTA' | 'MESSAGE' | 'LOST';
  /** On whose machine its files are. */
  readonly workerId: string;
  /** What this build has used of it. */
  readonly usage: Usage | null;
  /** How long its agent has run: the wait does not count as that. */
  readonly ranMs: number;
}
