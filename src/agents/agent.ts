/**
 * The program that writes code. One contract for every provider.
 *
 * The builds folder calls `open` once per attempt. `open` starts the agent in the workspace, or re-attaches to the
 * run that an earlier attempt left there; the caller then reads `batches` to the end, may call `stop` at any time
 * and any number of times, and asks `outcome` exactly when `batches` has ended. The caller owns the clocks (wall
 * time, silence, linger) and the fence; the agent owns the protocol and the verdict.
 *
 * People talk to a run by `tell`, any number of times while it lives; a word may be given again, also by a successor
 * that does not know whether it was given, and counts once. What the agent asks people is an event, as is every message
 * that it has taken: they come in the stream, so a successor knows what was published and answered before it.
 *
 * The outcome is decided from the whole stream, the exit status and how the run was stopped, never from one word of
 * the agent. What changed in the repository is not the agent's to say: git decides that.
 */
import type { AgentActivityContent, AgentRequest, Usage } from '../events/event.ts';
import type { MessageMode } from '../events/vocabulary.ts';
import type { Redact } from '../runtimes/redact.ts';
import type { ExitStatus, SpoolOffset, Workspace } from '../runtimes/runtime.ts';
import type { NetworkAccess } from '../std/network-access.ts';

export interface Agent {
  /** The provider's name: `claude-code`, `scripted`. */
  readonly name: string;
  readonly capabilities: AgentCapabilities;
  /** The key of its provider; null for one that needs none. */
  readonly modelKey: AgentKey | null;
  /** Can this machine run it, given a key? Answers within 10 s and never throws. */
  probe(): Promise<AgentAvailability>;
  open(task: AgentTask): Promise<AgentRun>;
}

export interface AgentCapabilities {
  /** A later build can go on with the session of an earlier one. */
  readonly resume: boolean;
  /** It reports what it costs. */
  readonly cost: boolean;
  /** A model can be chosen. */
  readonly models: boolean;
  /**
   * How it can be given messages while it runs. STEER needs an agent that listens in the middle of a turn. The others are
   * another run on the same checkout that goes on with the session (`resumeSessionId`); an agent that has none of these is
   * told all of the task again.
   */
  readonly messages: readonly MessageMode[];
  /** It asks people what it wants to know, and takes the answer. */
  readonly questions: boolean;
  /** It asks before it uses a tool, and takes the answer. */
  readonly permissions: boolean;
}

interface AgentKey {
  /** The variable in which it takes the key. */
  readonly variable: string;
  /** The worker has one for tasks that bring none. */
  readonly hasDefault: boolean;
}

/** A key and where it may be sent: the two are never parted. */
export interface ModelKey {
  readonly key: string;
  /** Null: the provider's own address. */
  readonly baseUrl: string | null;
}

export type AgentAvailability =
  | { readonly available: true; readonly version: string }
  | { readonly available: false; readonly reason: string; readonly remedy: string };

export interface AgentTask {
  readonly workspace: Workspace;
  /** The resolved prompt. */
  readonly prompt: string;
  readonly model: string | null;
  /**
   * Chosen by us before the start, so that it is known even if the first line never comes. UUID. An agent that names its
   * sessions itself ignores it; the session's own id is in the outcome.
   */
  readonly sessionId: string;
  /** Go on with this session (its files are in `workspace.paths.home`) instead of starting `sessionId`. */
  readonly resumeSessionId: string | null;
  /** What earlier builds used of that session in all, as they were billed; null: nobody knows, or there is none. */
  readonly resumedUsage: Usage | null;
  readonly limits: { readonly maxTurns: number | null; readonly maxCostUsd: number | null };
  /** It is ended after this long even if nobody is left who reads it. */
  readonly maxSeconds?: number;
  /** What it may ask people; what it may not is settled without them. */
  readonly asks: { readonly questions: boolean; readonly permissions: boolean };
  /** Scripts of the template by name; only the scripted agent reads them. */
  readonly scripts: Readonly<Record<string, unknown>>;
  /** Lets the repository's own agent configuration (hooks, MCP servers, plugins) run. */
  readonly trustRepoConfig: boolean;
  /** In place of the worker's own. */
  readonly modelKey: ModelKey | null;
  readonly redact: Redact;
  /** What it, and all that it starts, may reach besides its own model. */
  readonly network: NetworkAccess;
  /** Events up to here were published by an earlier attempt: read again for the verdict, not published again. */
  readonly publishedUpTo: SpoolOffset;
  /** Aborts when the run belongs to somebody else now: `batches` ends early, the agent is left alone, there is no outcome. */
  readonly detached: AbortSignal;
}

export interface AgentRun {
  /** True when `open` found a run of an earlier attempt instead of starting one. */
  readonly reattached: boolean;
  /** Output in order; ends when the agent is gone and its output is read. */
  readonly batches: AsyncIterable<AgentBatch>;
  /** Bytes that the agent has printed so far, read or not. */
  outputBytes(): Promise<number>;
  /** What the runtime has to say of the run so far; see `Run.notices`. */
  notices(): Promise<readonly string[]>;
  /**
   * Gives the agent a word while it runs. Safe to repeat: a word with an id that it has had counts once. One that has
   * ended, or does not listen, is given nothing.
   */
  tell(word: AgentWord): Promise<void>;
  /** Ends the agent and every process it left behind; resolves when none is alive. */
  stop(why: StopReason): Promise<void>;
  outcome(): AgentOutcome;
}

/** `id` of an answer or a decision: that of the request. */
export type AgentWord =
  /** To be heard within the turn. */
  | { readonly type: 'message'; readonly id: string; readonly text: string }
  /** For each question what was chosen or said; null: nobody answered, and the agent goes on as it sees fit. */
  | { readonly type: 'answer'; readonly id: string; readonly answers: readonly (readonly string[])[] | null }
  | {
      readonly type: 'decision';
      readonly id: string;
      readonly allow: boolean;
      /** Also the next times that it wants to use this tool in this run. */
      readonly always: boolean;
      /** For the agent: why not. */
      readonly message: string | null;
    };

/** Why we ended an agent; null in the verdict when it ended by itself. */
export type StopReason =
  | 'cancelled'
  /** For a message that does not wait for the end of its turn. */
  | 'interrupted'
  | 'wall_limit'
  | 'silence_limit'
  | 'linger'
  | 'fail_fast'
  | 'max_turns'
  | 'budget'
  | 'output_limit'
  | 'released';

export interface AgentBatch {
  readonly events: readonly AgentEvent[];
  /** Lines for the log. */
  readonly lines: readonly LogLine[];
  readonly offset: SpoolOffset;
}

export interface LogLine {
  readonly stream: 'stdout' | 'stderr' | 'system';
  readonly text: string;
}

export type AgentEvent =
  /** May repeat: an agent can begin several turns in one run. */
  | {
      readonly type: 'started';
      readonly sessionId: string | null;
      readonly model: string | null;
      readonly agentVersion: string | null;
    }
  | { readonly type: 'activity'; readonly content: AgentActivityContent }
  /** The provider refused or was not reached and the agent will try again by itself. */
  | {
      readonly type: 'retry';
      readonly reason: AgentReason;
      readonly message: string;
      readonly attempt: number | null;
      /** What the provider asks to wait before anybody tries again, where it says so. */
      readonly retryAfterSeconds?: number | undefined;
    }
  /** What the run has used so far in all. */
  | { readonly type: 'usage'; readonly usage: Usage }
  /** It waits for an answer. `requestId` is its own name for it, which it uses once in a run: a word is given once. */
  | { readonly type: 'asked'; readonly requestId: string; readonly request: AgentRequest }
  /** It does not wait any more: it was answered, or has given up. */
  | { readonly type: 'request_closed'; readonly requestId: string }
  /** A message was given to it. */
  | { readonly type: 'message_taken'; readonly messageId: string }
  /** A turn ended; the agent may exit now, or go on by itself with another turn. */
  | { readonly type: 'turn_finished' }
  | { readonly type: 'warning'; readonly message: string }
  /** A line that this version of the adapter does not know: counted, kept in the log, never an error. */
  | { readonly type: 'raw'; readonly name: string };

export type AgentReason =
  | 'completed'
  | 'max_turns'
  | 'budget'
  | 'auth'
  | 'billing'
  | 'rate_limit'
  | 'overloaded'
  | 'server_error'
  | 'network'
  | 'context_overflow'
  | 'output_truncated'
  | 'refusal'
  | 'permission'
  | 'not_found'
  | 'config'
  /** The program is not there or cannot be executed. */
  | 'unavailable'
  | 'cancelled'
  | 'timeout'
  /** It said nothing for too long. */
  | 'idle'
  /** It printed more than it may. */
  | 'output_limit'
  | 'crash'
  | 'agent_error'
  | 'unknown';

export interface AgentOutcome {
  readonly status: 'succeeded' | 'failed' | 'cancelled';
  readonly reason: AgentReason;
  /** Would the same build, started again, have a chance? */
  readonly retryable: boolean;
  /** One sentence for a person; null on success. */
  readonly message: string | null;
  /** The agent's last answer, cut to 64 KiB. */
  readonly finalText: string;
  readonly sessionId: string | null;
  readonly usage: Usage | null;
  /** Tools that the agent was not allowed to use. */
  readonly denials: readonly string[];
  /** Of a rate limit: what the provider asks to wait, where it says so. */
  readonly retryAfterSeconds?: number | undefined;
}

/** How a run of a line-speaking agent ended, for its verdict function. */
export interface RunEnd {
  readonly exit: ExitStatus;
  readonly stoppedBecause: StopReason | null;
  /** The last 8 KiB of stderr. */
  readonly stderrTail: string;
}
