/** What the suite of agents must know of one, and how its cases are run and told. */
import { onTestFinished, type TestContext, test } from 'vitest';
import type { Agent, AgentOutcome, AgentReason } from '../../src/agents/agent.ts';
import type { Caps } from '../../src/builds/agent-caps.ts';
import { type AgentBench, openBench } from '../support/agent-runs.ts';
import type { FakeModel } from '../support/fake-model/fake-model.ts';
import type { AGENT_CASES, AgentCase } from './agent-cases.ts';

/** The cases that are more than a script and what it comes to. */
type LongCase =
  | 'success'
  | 'nothing changed'
  | 'command fails'
  | 'crash'
  | 'stubborn and setsid children'
  | 're-attachment'
  | 'stop after the end'
  | 'let go'
  | 'session resume in another workspace'
  | 'session resume after SIGKILL'
  | 'session that is not there'
  | 'huge lines'
  | 'garbage lines'
  | 'unknown events'
  | 'commits by itself'
  | 'moves HEAD and branches';

export type CaseName = keyof typeof AGENT_CASES | LongCase;

export interface ExpectedOutcome {
  readonly status: AgentOutcome['status'];
  readonly reason: AgentReason;
  readonly retryable: boolean;
}

export interface OtherAnswer {
  readonly reason: string;
  readonly expected: ExpectedOutcome;
  /** It does not come to an end by itself. */
  readonly stop?: AgentCase['stop'];
}

/** What an agent says between its own lines. */
export type Intrusion = 'garbage' | 'unknown' | 'huge';

export interface AgentHarness {
  agent(): Agent;
  /** What makes it, or its scripted model, play this script. */
  prompt(script: string): string;
  /** Its scripted model. Of an agent that has none the file `ready` tells that it is in the middle of its work. */
  model?(): FakeModel;
  /**
   * The agent with a small program in its place, which does what `prompt` says in the agent's dialect with an intrusion in
   * the middle. `raw`: the names of the events that nobody knows.
   */
  intruded?(
    intrusion: Intrusion,
    bench: AgentBench,
  ): Promise<{ readonly agent: Agent; readonly prompt: string; readonly raw: readonly string[] }>;
  /** It takes no id for a session from us. */
  readonly namesItsSessions?: boolean;
  /** An id that it could have given a session. Default: a UUID. */
  readonly unknownSession?: string;
  /** It has a sandbox of its own, which only ours can be in place of. */
  readonly sandboxed?: boolean;
  /** Where those of a build would take too long. */
  readonly caps?: Partial<Caps>;
  /** Cases that it answers otherwise than the others, and why. */
  readonly differs?: {
    readonly [K in keyof typeof AGENT_CASES]?: OtherAnswer;
  };
  /** Cases that cannot be played with it, and why. */
  readonly cannot?: { readonly [K in CaseName]?: string };
}

/** What the table of agents and cases is made of; see `agent-matrix.ts`. */
export interface AgentCaseMeta {
  readonly agent: string;
  readonly case: string;
  readonly played: 'as all' | 'differs' | 'cannot';
  /** Why it is not as all. */
  readonly reason: string | null;
}

declare module 'vitest' {
  interface TaskMeta {
    agentCase?: AgentCaseMeta;
    agentVersion?: string;
  }
}

export interface AgentSuite {
  readonly name: string;
  readonly harness: AgentHarness;
  /** A test that is also a cell of the table. */
  play(name: CaseName, body: (context: TestContext) => Promise<void>): void;
  /** Closed with the test. */
  bench(): Promise<AgentBench>;
}

export function openAgentSuite(name: string, harness: AgentHarness): AgentSuite {
  const { cannot = {}, differs = {}, sandboxed = false } = harness;
  return {
    name,
    harness,
    play(caseName, body) {
      const impossible = cannot[caseName];
      const other = (differs as { readonly [name: string]: OtherAnswer })[caseName];
      test(caseName, async (context) => {
        const played = impossible !== undefined ? 'cannot' : other ? 'differs' : 'as all';
        context.task.meta.agentCase = {
          agent: name,
          case: caseName,
          played,
          reason: impossible ?? other?.reason ?? null,
        };
        context.skip(impossible !== undefined, impossible);
        await body(context);
      });
    },
    async bench() {
      const opened = await openBench({ sandboxed });
      onTestFinished(() => opened[Symbol.asyncDispose]());
      return opened;
    },
  };
}
