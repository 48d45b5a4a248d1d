/** What the API says of agents: on which worker, in which version, and what they say that is not known. */
import { v7 } from 'uuid';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Agent, AgentCapabilities } from '../../src/agents/agent.ts';
import { openLineRun } from '../../src/agents/line-agent.ts';
import { outcomeOf, succeeded } from '../../src/agents/verdict.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import type { AgentReport } from '../../src/workers/probe-agents.ts';
import { markStopped, registerWorker, updateAgents } from '../../src/workers/registry.ts';
import { ENVIRONMENT } from '../support/agent-runs.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { Api } from './api.ts';

let stack: TestStack;
let api: Api;

beforeAll(async () => {
  stack = await openTestStack();
  (stack.orchestrator.agents as Map<string, Agent>).set('chatty', chattyAgent());
  (stack.orchestrator.providers as string[]).push('chatty');
  api = new Api(stack.orchestrator);
});
afterAll(() => stack[Symbol.asyncDispose]());

const CAPABILITIES = {
  ...{ resume: false, cost: false, models: true },
  ...{ messages: ['QUEUE'], questions: false, permissions: false },
} satisfies AgentCapabilities;

/** Says one thing that its adapter knows, and two of a kind that it does not. */
function chattyAgent(): Agent {
  return {
    name: 'chatty',
    capabilities: CAPABILITIES,
    modelKey: null,
    probe: async () => ({ available: true, version: '3.1.4' }),
    open: (task) =>
      openLineRun({
        task,
        reader: {
          read: (name) =>
            name === 'hello'
              ? [{ type: 'started', sessionId: null, model: null, agentVersion: '3.1.5' }]
              : [{ type: 'raw', name }],
          verdict: () => outcomeOf(succeeded(), { finalText: '', sessionId: null, usage: null, denials: [] }),
        },
        command: () => ({
          argv: ['/bin/sh', '-c', 'echo hello; echo news; echo news'],
          cwd: task.workspace.paths.work,
          env: ENVIRONMENT,
          stdin: '',
          redact: task.redact,
          network: task.network,
        }),
      }),
  };
}

function report(name: string, change: Partial<AgentReport> = {}): AgentReport {
  const found = { available: true, version: '1.0.0', reason: null, remedy: null };
  return { name, capabilities: CAPABILITIES, keyed: true, ...found, ...change };
}

const LACKING = {
  available: false,
  version: null,
  reason: 'claude was not found.',
  remedy: 'Install it with npm.',
} as const;

async function addWorker(name: string, agents: readonly AgentReport[]): Promise<string> {
  const id = v7();
  const { place } = stack.orchestrator.runtime;
  await registerWorker(stack.orchestrator.db, { id, name, place, version: '0', capacity: 1, agents });
  return id;
}

it('tells of every agent what it can do, and on which worker that lives', async () => {
  const gone = await addWorker('gone', [report('acp:gone')]);
  await markStopped(stack.orchestrator.db, [gone]);
  const one = await addWorker('one', [report('claude-code', LACKING), report('acp:mine')]);
  const two = await addWorker('two', [report('claude-code', { keyed: false })]);
  const { agents } = await api.data(`{ agents {
    name capabilities { resume cost models messages questions permissions }
    workers { worker { id name } available version hasKey reason remedy } drift { name } } }`);
  const [first] = agents;
  expect(first).toEqual({
    name: 'claude-code',
    capabilities: stack.orchestrator.agents.get('claude-code')?.capabilities,
    workers: [
      {
        worker: { id: toPublicId('worker', two), name: 'two' },
        ...{ available: true, version: '1.0.0', hasKey: false, reason: null, remedy: null },
      },
      { worker: { id: toPublicId('worker', one), name: 'one' }, hasKey: true, ...LACKING },
    ],
    drift: [],
  });
  const names = agents.map(({ name }: { name: string }) => name);
  expect(names).toEqual(expect.arrayContaining(['scripted', 'chatty']));
  expect(names.at(-1)).toBe('acp:mine');
  await markStopped(stack.orchestrator.db, [two]);
  await updateAgents(stack.orchestrator.db, one, [report('claude-code', { version: '2.0.0' })]);
  const later = await api.data(
    '{ agents { workers { version } } workers(filter: { statuses: [ONLINE] }) { nodes { providers { version } } } }',
  );
  expect(later.agents[0].workers).toEqual([{ version: '2.0.0' }]);
  expect(later.workers.nodes).toEqual([{ providers: [{ version: '2.0.0' }] }]);
  await markStopped(stack.orchestrator.db, [one]);
});

it('understands a worker of an earlier version', async () => {
  const capabilities = { resume: true, cost: false, models: true, messages: false, permissions: false };
  const old = await addWorker('old', [{ ...report('acp:old'), capabilities: capabilities as never }]);
  const { agents } = await api.data('{ agents { name capabilities { resume messages questions permissions } } }');
  const able = { resume: true, messages: [], questions: false, permissions: false };
  expect(agents.at(-1)).toEqual({ name: 'acp:old', capabilities: able });
  await markStopped(stack.orchestrator.db, [old]);
});

it('says in a dry run why no worker can run the agent', async () => {
  const { id } = await stack.createProject();
  const source = `{ validateBuild(projectId: "${toPublicId('project', id)}", spec: { prompt: "x", provider: "claude-code" }) {
    ready checks { name message } } }`;
  const check = async () => {
    const { ready, checks } = (await api.data(source)).validateBuild;
    const found = checks.find(({ name }: { name: string }) => name === 'provider');
    return { ready, message: found.message };
  };
  const message = 'No worker that is online can run claude-code.';
  const other = await addWorker('other', [report('scripted')]);
  expect(await check()).toEqual({ ready: false, message });
  const lacking = await addWorker('lacking', [report('claude-code', LACKING)]);
  const why = `${message} On lacking: claude was not found. Install it with npm.`;
  expect(await check()).toEqual({ ready: false, message: why });
  await markStopped(stack.orchestrator.db, [other, lacking]);
});

it('counts what an agent says that is not known, and lets its builds go on', async () => {
  const project = await stack.createProject();
  const worker = await stack.openWorker();
  const spec = { prompt: 'Talk.', provider: 'chatty', autoCommit: false };
  const { build } = await startBuild(stack.orchestrator, { projectId: project.id, spec }, 'test');
  expect(await stack.finished(build.id)).toMatchObject({ failure: null });
  await worker[Symbol.asyncDispose]();
  const { agents } = await api.data('{ agents { name drift { version name count lastSeenAt } } }');
  const drift = agents.flatMap(({ name, drift }: { name: string; drift: object[] }) =>
    drift.map((kind) => ({ agent: name, ...kind })),
  );
  expect(drift).toEqual([
    { agent: 'chatty', version: '3.1.5', name: 'news', count: 2, lastSeenAt: expect.any(String) },
  ]);
});
