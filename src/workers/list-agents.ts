/** Which agents there are, where they can be run, and what they say that nobody here knows. */
import type { Agent, AgentCapabilities } from '../agents/agent.ts';
import type { Database } from '../database/database.ts';
import { type AgentDrift, findDrift } from './agent-drift.ts';
import type { AgentReport } from './probe-agents.ts';
import { findWorkers, type WorkerRecord } from './registry.ts';

export interface AgentOnWorker extends AgentReport {
  readonly worker: WorkerRecord;
}

export interface KnownAgent {
  readonly name: string;
  readonly capabilities: AgentCapabilities;
  /** Of the workers that live, newest first; empty when none knows it. */
  readonly workers: readonly AgentOnWorker[];
  /** What was seen last first. */
  readonly drift: readonly AgentDrift[];
}

/** Every agent that this process or a worker that lives knows: those of this process first, in the registry's order. */
export async function listAgents({
  db,
  agents,
}: {
  readonly db: Database;
  readonly agents: ReadonlyMap<string, Agent>;
}): Promise<KnownAgent[]> {
  const [workers, drift] = await Promise.all([findWorkers(db), findDrift(db)]);
  const alive = workers.filter(({ status }) => status !== 'OFFLINE' && status !== 'EVICTED');
  const reports = alive.flatMap((worker) => worker.agents.map((report) => ({ ...report, worker })));
  const byName = Map.groupBy(reports, ({ name }) => name);
  const known = new Map([...agents.values()].map(({ name, capabilities }) => [name, capabilities]));
  for (const { name, capabilities } of reports) if (!known.has(name)) known.set(name, complete(capabilities));
  return [...known].map(([name, capabilities]) => ({
    name,
    capabilities,
    workers: byName.get(name) ?? [],
    drift: drift.filter(({ agent }) => agent === name),
  }));
}

/** Workers of an earlier version know nothing of messages and questions. */
function complete(told: AgentCapabilities): AgentCapabilities {
  return { ...told, messages: Array.isArray(told.messages) ? told.messages : [], questions: told.questions ?? false };
}
