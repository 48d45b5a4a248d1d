/** Everything that goes wrong, as a table. A fault is over when its `run` resolves, and leaves nothing behind. */
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { signalGroup } from '../../src/runtimes/signal-group.ts';
import type { GitServerMode } from '../support/git-server.ts';
import type { TcpProxy, Trouble } from '../support/tcp-proxy.ts';
import { type Cluster, findAgents, type Member } from './cluster.ts';
import { type Fault, type FaultContext, SHORT_MS } from './fault.ts';
import type { Random } from './random.ts';

/** Beyond the lease of a worker. */
const LONG_MS = [20_000, 28_000] as const;
const CLOCK_JUMPS_SECONDS = [3_600, -3_600, 86_400, -86_400];

export const FAULTS: readonly Fault[] = [
  { name: 'kill -9 of a server', weight: 3, target: aServer, run: killNode },
  { name: 'kill -9 of a worker', weight: 5, target: aWorker, run: killNode },
  { name: 'kill -9 of an agent', weight: 4, target: () => 'agent', run: (context) => signalAgent(context, 'SIGKILL') },
  {
    name: 'SIGSTOP of a server',
    weight: 2,
    target: aServer,
    run: (context, name) => stopNode(context, name, SHORT_MS),
  },
  {
    name: 'SIGSTOP of a worker',
    weight: 3,
    target: aWorker,
    run: (context, name) => stopNode(context, name, SHORT_MS),
  },
  {
    name: 'SIGSTOP of a worker beyond its lease',
    weight: 2,
    target: aWorker,
    run: (context, name) => stopNode(context, name, LONG_MS),
  },
  { name: 'SIGSTOP of an agent', weight: 2, target: () => 'agent', run: (context) => signalAgent(context, 'SIGSTOP') },
  { name: 'Postgres crash', weight: 5, target: () => 'postgres', run: crashPostgres },
  {
    name: 'backends of LISTEN terminated',
    weight: 2,
    target: () => 'backends',
    run: (context) => terminate(context, 'slipway listen'),
  },
  {
    name: 'backends of the pools terminated',
    weight: 3,
    target: () => 'backends',
    run: (context) => terminate(context, 'slipway%'),
  },
  {
    name: 'partition: refused',
    weight: 2,
    target: aMember,
    run: (context, name) => disturb(context, name, { kind: 'refuse' }),
  },
  { name: 'partition: delay', weight: 2, target: aMember, run: delayDatabase },
  {
    name: 'partition: black hole',
    weight: 3,
    target: aMember,
    run: (context, name) => disturb(context, name, { kind: 'silence' }),
  },
  {
    name: 'partition: half-open',
    weight: 2,
    target: aMember,
    run: (context, name) => disturb(context, name, { kind: 'half-open' }),
  },
  {
    ...{ name: 'partition: LISTEN only', weight: 2, target: aMember },
    run: (context, name) => disturb(context, name, { kind: 'silence', only: /slipway listen/ }),
  },
  { name: 'clients cut off', weight: 2, target: aServer, run: disturbFront },
  {
    name: 'full disk: write-ahead log',
    weight: 1,
    target: () => 'postgres',
    run: fillLog,
    possible: ({ walDisk }) => walDisk !== null,
  },
  {
    name: 'full disk: a worker',
    weight: 2,
    target: () => 'host disk',
    run: fillHost,
    possible: ({ hostDisk }) => hostDisk !== null,
  },
  {
    ...{ name: 'clock jump', weight: 3, target: () => 'clock', run: jump },
    possible: (cluster) => members(cluster).some(({ clock }) => clock !== null),
  },
  { name: 'rolling restart', weight: 2, target: () => 'rolling', run: rollAll },
  { name: 'git host: 500', weight: 1, target: () => 'git', run: (context) => breakGit(context, 'error') },
  { name: 'git host: hangs', weight: 1, target: () => 'git', run: (context) => breakGit(context, 'hang') },
  {
    name: 'git host: pushes without an answer',
    weight: 2,
    target: () => 'git',
    run: (context) => breakGit(context, 'lose-push'),
  },
];

function members({ servers, workers }: Cluster): readonly Member[] {
  return [...servers, ...workers];
}

function aServer({ cluster, random }: FaultContext): string {
  return random.pick(cluster.servers).node.name;
}

function aWorker({ cluster, random }: FaultContext): string {
  return random.pick(cluster.workers).node.name;
}

function aMember({ cluster, random }: FaultContext): string {
  return random.pick(members(cluster)).node.name;
}

function memberOf(cluster: Cluster, name: string): Member {
  const member = members(cluster).find(({ node }) => node.name === name);
  if (!member) throw new Error(`there is no ${name}`);
  return member;
}

async function killNode({ cluster, random, hold }: FaultContext, name: string): Promise<void> {
  const awayMs = random.between(0, 5_000);
  memberOf(cluster, name).node.kill(awayMs);
  await hold(awayMs);
}

async function stopNode({ cluster, random, hold }: FaultContext, name: string, [min, max]: readonly [number, number]) {
  const { node } = memberOf(cluster, name);
  node.signal('SIGSTOP');
  await hold(random.between(min, max));
  node.signal('SIGCONT');
}

/** The program of one build, or its whole group, as when the machine runs out of memory. */
async function signalAgent({ cluster, random, hold }: FaultContext, signal: 'SIGKILL' | 'SIGSTOP'): Promise<boolean> {
  const found = await findAgents(cluster);
  if (found.length === 0) return false;
  const { pid } = random.pick(found);
  const send = (now: NodeJS.Signals) => {
    try {
      process.kill(pid, now);
    } catch {
      // It has ended meanwhile.
    }
  };
  if (signal === 'SIGKILL' && random.chance(0.5)) signalGroup(pid, signal);
  send(signal);
  if (signal === 'SIGKILL') return true;
  await hold(random.between(...SHORT_MS));
  send('SIGCONT');
  return true;
}

async function crashPostgres({ cluster, random, hold }: FaultContext): Promise<void> {
  await cluster.postgres.stop();
  await hold(random.between(0, 3_000));
  await cluster.postgres.start();
}

/** Again and again while the fault lasts; half of those that match each time. */
async function terminate({ cluster, random, hold }: FaultContext, pattern: string): Promise<boolean> {
  const rounds = Math.ceil(random.between(2, 6));
  let ended = 0;
  for (let round = 0; round < rounds; round += 1) {
    const { rows } = await sql`
      select pg_terminate_backend(pid) from pg_stat_activity
       where application_name like ${pattern} and random() < 0.5`
      .execute(cluster.db)
      .catch(() => ({ rows: [] }));
    ended += rows.length;
    await hold(random.between(300, 1_500));
  }
  return ended > 0;
}

async function disturb({ cluster, random, hold }: FaultContext, name: string, trouble: Trouble): Promise<void> {
  await between(memberOf(cluster, name).way, trouble, () => hold(random.between(...SHORT_MS)));
}

function delayDatabase(context: FaultContext, name: string): Promise<void> {
  return disturb(context, name, { kind: 'delay', ms: context.random.pick([50, 200, 500]) });
}

async function disturbFront({ cluster, random, hold }: FaultContext, name: string): Promise<void> {
  const server = cluster.servers.find(({ node }) => node.name === name);
  const trouble = random.pick<Trouble>([{ kind: 'refuse' }, { kind: 'silence' }, { kind: 'half-open' }]);
  if (server) await between(server.front, trouble, () => hold(random.between(...SHORT_MS)));
}

async function between(proxy: TcpProxy, trouble: Trouble, hold: () => Promise<void>): Promise<void> {
  proxy.disturb(trouble);
  await hold();
  proxy.disturb(null);
}

/** Postgres gives up when it cannot write its log; when there is room again it is started as an operator would. */
async function fillLog({ cluster, random, hold }: FaultContext): Promise<void> {
  const free = await cluster.walDisk?.fill();
  await hold(random.between(...SHORT_MS));
  await free?.();
  await cluster.postgres.start();
}

async function fillHost({ cluster, random, hold }: FaultContext): Promise<void> {
  const free = await cluster.hostDisk?.fill();
  await hold(random.between(...SHORT_MS));
  await free?.();
}

async function jump({ cluster, random, hold }: FaultContext): Promise<void> {
  const clocks = members(cluster).flatMap(({ clock }) => (clock ? [clock] : []));
  const clock = random.pick(clocks);
  await clock.set(random.pick(CLOCK_JUMPS_SECONDS));
  await hold(random.between(...SHORT_MS));
  await clock.set(0);
}

/** One after the other, as a deployment does it; the rest stays as it is when the time of faults is over. */
async function rollAll({ cluster, signal }: FaultContext): Promise<void> {
  for (const { node } of members(cluster)) if (!signal.aborted) await node.roll();
}

async function breakGit({ cluster, random, hold }: FaultContext, mode: GitServerMode): Promise<void> {
  cluster.git.mode = mode;
  await hold(random.between(...SHORT_MS));
  cluster.git.mode = 'answer';
  cluster.git.release();
}

export interface FaultRun {
  /** Name -> how often it was played. */
  readonly counts: Readonly<Record<string, number>>;
  /** Faults that did not go as they should, for the report: the harness is wrong then. */
  readonly problems: readonly string[];
}

const MAX_AT_ONCE = 3;
const LOOK_EVERY_MS = 100;

export interface PlayFaults {
  readonly faults: readonly Fault[];
  readonly random: Random;
  readonly signal: AbortSignal;
  readonly onFault: (text: string) => void;
}

/**
 * Plays faults, a new one every 3 to 8 s, until `signal` aborts; resolves when all of them are over. Which ones, on what
 * and for how long is the seed's alone; a fault whose target is busy waits for it.
 */
export async function playFaults(cluster: Cluster, { faults, random, signal, onFault }: PlayFaults): Promise<FaultRun> {
  const counts: Record<string, number> = {};
  const problems: string[] = [];
  const active = new Map<string, Promise<void>>();
  const hold = (milliseconds: number) => delay(milliseconds, undefined, { signal }).catch(() => {});
  const possible = faults.filter((fault) => fault.possible?.(cluster) ?? true);
  const isFree = (target: string) => active.size < MAX_AT_ONCE && !active.has(target);
  for (let number = 1; !signal.aborted; number += 1) {
    const own = random.fork(`fault ${number}`);
    const fault = own.weigh(possible);
    const context = { cluster, random: own, signal, hold };
    const target = fault.target(context);
    while (!isFree(target) && !signal.aborted) await hold(LOOK_EVERY_MS);
    if (signal.aborted) break;
    onFault(`${fault.name} (${target})`);
    const running = fault
      .run(context, target)
      .then((happened) => {
        if (happened !== false) counts[fault.name] = (counts[fault.name] ?? 0) + 1;
      })
      .catch((error: unknown) => problems.push(`${fault.name}: ${String(error)}`))
      .then(() => void active.delete(target));
    active.set(target, running);
    await hold(own.between(...SHORT_MS));
  }
  await Promise.all(active.values());
  return { counts, problems };
}
