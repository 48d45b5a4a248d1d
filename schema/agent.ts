/** Agents: what each can do, and where. */
import type { AgentCapabilities } from '../src/agents/agent.ts';
import type { AgentDrift } from '../src/workers/agent-drift.ts';
import { type AgentOnWorker, type KnownAgent, listAgents } from '../src/workers/list-agents.ts';
import { builder, EMBEDDED_LIST } from './builder.ts';
import { DEFAULT_PAGE } from './limits.ts';
import { WorkerRef } from './refs.ts';
import { BuildMessageModeEnum } from './vocabulary.ts';

/** Agents that a query is thought to find. */
const SOME_AGENTS = 10;

const CapabilitiesRef = builder.objectRef<AgentCapabilities>('AgentCapabilities').implement({
  description: 'What an agent can do, beside writing code.',
  fields: (t) => ({
    resume: t.exposeBoolean('resume', { description: 'A later build can go on with the session of an earlier one.' }),
    cost: t.exposeBoolean('cost', { description: 'It reports what it costs.' }),
    models: t.exposeBoolean('models', { description: 'A model can be chosen.' }),
    messages: t.field({
      type: [BuildMessageModeEnum],
      description: 'How it can be given messages while it runs: the modes of sendBuildMessage that it keeps to.',
      resolve: ({ messages }) => [...messages],
    }),
    questions: t.exposeBoolean('questions', {
      description: 'It asks people what it wants to know, and takes the answer.',
    }),
    permissions: t.exposeBoolean('permissions', {
      description: 'It asks before it uses a tool, and takes the answer.',
    }),
  }),
});

const AgentOnWorkerRef = builder.objectRef<AgentOnWorker>('AgentOnWorker').implement({
  description: 'An agent on a worker that lives, as it was found within the last minutes.',
  fields: (t) => ({
    worker: t.field({ type: WorkerRef, description: 'The worker.', resolve: ({ worker }) => worker }),
    available: t.exposeBoolean('available', { description: 'It can be run there.' }),
    version: t.exposeString('version', {
      nullable: true,
      description: 'Its version there; null when it cannot be run.',
    }),
    hasKey: t.exposeBoolean('keyed', {
      description: 'The worker has a key for builds whose project brings none, or none is needed.',
    }),
    reason: t.exposeString('reason', { nullable: true, description: 'Why it cannot be run; null when it can.' }),
    remedy: t.exposeString('remedy', {
      nullable: true,
      description: 'What the operator can do; null when it can run.',
    }),
  }),
});

const AgentDriftRef = builder.objectRef<AgentDrift>('AgentDrift').implement({
  description: 'A kind of output that Slipway does not know: the agent may be newer than it. Builds go on regardless.',
  fields: (t) => ({
    version: t.exposeString('version', { description: "The agent's version; `unknown` where it does not say it." }),
    name: t.exposeString('name', { description: 'The kind; `others` stands for what goes beyond a hundred.' }),
    count: t.field({ type: 'SafeInt', description: 'How often it was seen.', resolve: ({ count }) => count }),
    firstSeenAt: t.expose('firstSeenAt', { type: 'DateTime', description: 'When it was seen first.' }),
    lastSeenAt: t.expose('lastSeenAt', { type: 'DateTime', description: 'When it was seen last, to the minute.' }),
  }),
});

const AgentRef = builder.objectRef<KnownAgent>('Agent').implement({
  description: 'A program that writes code.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What builds and projects name as their `provider`.' }),
    capabilities: t.field({
      type: CapabilitiesRef,
      description: 'What it can do.',
      resolve: ({ capabilities }) => capabilities,
    }),
    workers: t.field({
      type: [AgentOnWorkerRef],
      description: 'The workers that live and know it, newest first.',
      complexity: { field: 1, multiplier: DEFAULT_PAGE },
      resolve: ({ workers }) => [...workers],
    }),
    drift: t.field({
      type: [AgentDriftRef],
      description: 'What it said that Slipway does not know, the last first: at most a hundred.',
      complexity: EMBEDDED_LIST,
      resolve: ({ drift }) => [...drift],
    }),
  }),
});

builder.queryField('agents', (t) =>
  t.field({
    type: [AgentRef],
    description: 'Every agent that this server or a worker that lives knows, and where it can be run.',
    authScopes: { scope: 'builds:read' },
    complexity: { field: 1, multiplier: SOME_AGENTS },
    resolve: (_root, _args, { orchestrator }) => listAgents(orchestrator),
  }),
);
