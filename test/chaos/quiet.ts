/** After the faults: everything is well again, and what was begun comes to its end. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { type Cluster, findAgents } from './cluster.ts';
import { countUnfinished } from './monitor.ts';
import { freeQueue } from './queue-faults.ts';
import type { Watchers } from './watchers.ts';

const READY_WITHIN_MS = 60_000;
/** The janitor of a worker comes by once a minute. */
const QUIET_WITHIN_MS = 150_000;
const LOOK_EVERY_MS = 500;

/** Heals what may still be broken, and waits until every process is up. */
export async function restore(cluster: Cluster): Promise<void> {
  const members = [...cluster.servers, ...cluster.workers];
  await cluster.postgres.start();
  cluster.git.mode = 'answer';
  cluster.git.release();
  for (const { way, clock, node } of members) {
    way.disturb(null);
    await clock?.set(0);
    node.signal('SIGCONT');
  }
  for (const { front } of cluster.servers) front.disturb(null);
  const deadline = performance.now() + READY_WITHIN_MS;
  while (!members.every(({ node }) => node.ready)) {
    const missing = members.filter(({ node }) => !node.ready).map(({ node }) => node.name);
    if (performance.now() > deadline) throw new Error(`${missing.join(', ')} did not come back`);
    await delay(LOOK_EVERY_MS);
  }
  await freeQueue(cluster);
}

/** What is left to be done; empty when all is quiet. */
async function findRest(cluster: Cluster, watchers: Watchers): Promise<string[]> {
  const unfinished = await countUnfinished(cluster.db);
  // Else there would always be a build that has just begun.
  await sql`
    update schedules set next_run_at = null, paused_at = now() where next_run_at > now()`.execute(cluster.db);
  // The pauses between the tries of a callback are hours: they are taken as gone by.
  await sql`update deliveries set due_at = now() where status = 'PENDING' and due_at > now()`.execute(cluster.db);
  const { rows } = await sql<{ due: number }>`
    select count(*)::int as due from deliveries where status = 'PENDING'`.execute(cluster.db);
  const due = rows[0]?.due ?? 0;
  const processes = await findAgents(cluster);
  const workspaces = (await Promise.all(cluster.hosts.map(openWorkspaces))).flat();
  const rest = {
    ...{ ...unfinished, callbacks: due, processes: processes.length, workspaces: workspaces.length },
    watchers: watchers.unfinished.length,
  };
  return Object.entries(rest).flatMap(([name, count]) => (count > 0 ? [`${count} ${name}`] : []));
}

/** Those that hold more than the agent's home, which stays for a while so that its session can be resumed. */
async function openWorkspaces(host: string): Promise<string[]> {
  const folder = join(host, 'builds');
  const ids = await readdir(folder).catch(() => []);
  const open = await Promise.all(
    ids.map(async (id) => (await readdir(join(folder, id)).catch(() => [])).some((name) => name !== 'home')),
  );
  return ids.filter((_, index) => open[index]);
}

export interface Quiet {
  readonly tookMs: number;
  /** What was not done in time; empty when all was. */
  readonly rest: readonly string[];
}

/** Until nothing is left to be done, for two and a half minutes at most. */
export async function waitForQuiet(cluster: Cluster, watchers: Watchers, signal: AbortSignal): Promise<Quiet> {
  const started = performance.now();
  for (;;) {
    const rest = await findRest(cluster, watchers);
    const tookMs = Math.round(performance.now() - started);
    if (rest.length === 0 || tookMs > QUIET_WITHIN_MS || signal.aborted) return { tookMs, rest };
    await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
  }
}
