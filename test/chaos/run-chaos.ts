/** One run: open everything, let faults loose on it, heal it, and judge what is left. */
import { chmod, cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Database } from '../../src/database/database.ts';
import { Recorder, uuidOf } from '../faults/history.ts';
import { judge, type Verdict } from '../faults/oracle.ts';
import type { Violation } from '../faults/promises.ts';
import { type Bots, startBots } from './bots.ts';
import { type Chores, startChores } from './chores.ts';
import { type Cluster, openCluster } from './cluster.ts';
import type { Fault } from './fault.ts';
import { FAULTS, type FaultRun, playFaults } from './faults.ts';
import { judgeWords } from './judge-words.ts';
import { startMonitor } from './monitor.ts';
import { QUEUE_FAULTS } from './queue-faults.ts';
import { type Quiet, restore, waitForQuiet } from './quiet.ts';
import { createRandom } from './random.ts';
import { openReceivers } from './receivers.ts';
import type { Report } from './report.ts';
import { startWatchers, type Watchers } from './watchers.ts';

const MAX_BUILDS_SHOWN = 20;
/** What a bot may be told while things are broken. */
const TEMPORARY = new Set(['CONNECTION', 'UNAVAILABLE']);
const NOTHING: Verdict = {
  violations: [],
  counts: {
    ...{ builds: 0, byStatus: {}, attempts: 0, events: 0, commits: 0, deliveries: 0, subscriptions: 0, maxStuckMs: 0 },
    ...{ tasks: 0, tasksByStatus: {}, taskAttempts: 0, claims: 0, longestWait: { ofProjects: 0, ofItems: 0 } },
    ...{ fires: 0, passedOver: 0 },
  },
};

export interface ChaosOptions {
  readonly seed: number;
  /** Of faults. */
  readonly minutes: number;
  /** Builds at most. */
  readonly builds: number;
  /** Ends the run early: nothing is judged then. */
  readonly signal: AbortSignal;
  /** A line of progress. */
  readonly say: (line: string) => void;
  /** Where logs and rows of a run go that broke a promise; made when it is needed. */
  readonly keepIn: string;
}

/** Everything that it starts is ended and deleted when it resolves or rejects. */
export async function runChaos(options: ChaosOptions): Promise<Report> {
  const started = performance.now();
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-chaos-'));
  opened.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  // As root, Postgres runs as another user, who must be able to pass through.
  await chmod(folder, 0o711);
  const cluster = await openCluster(folder, opened);
  options.say(`everything is up after ${seconds(started)} s`);
  const recorder = new Recorder();
  const play = await playRun(cluster, { ...options, recorder, opened });
  const isComplete = !options.signal.aborted;
  const verdict = isComplete ? await judgeRun(cluster, recorder, play) : NOTHING;
  const violations = isComplete ? [...verdict.violations, ...(await harnessViolations(cluster, play))] : [];
  if (violations.length > 0) await keep(cluster, { folder: options.keepIn, violations, recorder });
  const { bots, chores, watchers, quiet, faults } = play;
  return {
    ...{ seed: options.seed, minutes: options.minutes, complete: isComplete, violations, quiet },
    tookSeconds: seconds(started),
    counts: verdict.counts,
    ...(await readOutcomes(cluster.db)),
    ...{ bots: bots.counts, chores: chores.counts, watchers: watchers.counts, faults: faults.counts },
    ...{ skipped: cluster.skipped, problems: [...faults.problems, ...watchers.failures] },
    memory: Object.fromEntries(
      [...cluster.servers, ...cluster.workers].map(({ node }) => [node.name, Math.round(node.maxRss / 2 ** 20)]),
    ),
  };
}

function seconds(since: number): number {
  return Math.round((performance.now() - since) / 1000);
}

interface Play {
  readonly bots: Bots;
  readonly chores: Chores;
  readonly watchers: Watchers;
  readonly faults: FaultRun;
  readonly faultEndedAt: Date;
  readonly quiet: Quiet;
}

async function playRun(
  cluster: Cluster,
  options: ChaosOptions & { readonly recorder: Recorder; readonly opened: AsyncDisposableStack },
): Promise<Play> {
  const { recorder, opened, say, signal } = options;
  const random = createRandom(options.seed);
  const secrets = new Map(cluster.projects.map(({ id, callbackSecret }) => [id, callbackSecret]));
  const secretOf = (projectId: string) => secrets.get(projectId) ?? '';
  const receivers = await openReceivers(opened, { recorder, secretOf, log: join(cluster.logs, 'callbacks.log') });
  const monitor = opened.use(startMonitor(cluster));
  const watchers = startWatchers({ cluster, recorder, random: random.fork('watchers') });
  opened.defer(() => watchers.stop());
  const bots = startBots({
    ...{ cluster, recorder, monitor, limit: options.builds, callbackUrls: receivers.urls },
    random: random.fork('bots'),
    onBuild: watchers.offer,
  });
  opened.defer(() => bots.stop());
  const chores = startChores({
    ...{ cluster, recorder, monitor, callbackUrls: receivers.urls, random: random.fork('chores') },
  });
  opened.defer(() => chores.stop());
  const over = AbortSignal.any([signal, AbortSignal.timeout(options.minutes * 60_000)]);
  const play = (faults: readonly Fault[], name: string) =>
    playFaults(cluster, { faults, random: random.fork(name), signal: over, onFault: say });
  const [machines, queue] = await Promise.all([play(FAULTS, 'faults'), play(QUEUE_FAULTS, 'queue faults')]);
  const faults = {
    counts: { ...machines.counts, ...queue.counts },
    problems: [...machines.problems, ...queue.problems],
  };
  say(`the faults are over: ${bots.counts.started} builds were asked for`);
  receivers.recover();
  await restore(cluster);
  const faultEndedAt = new Date();
  if (!signal.aborted) await Promise.all([bots.stop(), chores.stopEnqueuing()]);
  const quiet = await waitForQuiet(cluster, watchers, signal);
  say(`quiet after ${(quiet.tookMs / 1000).toFixed(1)} s`);
  await chores.stop();
  // What was delivered twice may still be on its way.
  await delay(signal.aborted ? 0 : 1_000);
  return { bots, chores, watchers, faults, faultEndedAt, quiet };
}

function judgeRun(cluster: Cluster, recorder: Recorder, { faultEndedAt }: Play): Promise<Verdict> {
  return judge({
    db: cluster.db,
    history: recorder.history,
    remotes: new Map(cluster.projects.map(({ id, path }) => [id, path])),
    secrets: cluster.secrets,
    folders: [...cluster.hosts, cluster.logs],
    faultEndedAt,
  });
}

/** What only this harness can see. */
async function harnessViolations(cluster: Cluster, { bots, chores, watchers }: Play): Promise<Violation[]> {
  const unexpected = await cluster.db
    .selectFrom('build_audit')
    .select('id')
    .where(sql<boolean>`failure ->> 'reason' = 'INTERNAL'`)
    .execute();
  const crashes = [...cluster.servers, ...cluster.workers].flatMap(({ node }) => node.crashes);
  return [
    ...(await judgeWords(cluster.db)),
    ...crashes.map((detail): Violation => ({ promise: 'alive', detail })),
    ...[bots.counts.errors, chores.counts.errors]
      .flatMap((errors) => Object.entries(errors))
      .filter(([code]) => !TEMPORARY.has(code))
      .map(([code, count]): Violation => ({ promise: 'alive', detail: `${count} answers of the API were ${code}` })),
    ...unexpected.map(({ id }): Violation => ({ promise: 'alive', buildId: id, detail: 'it failed as INTERNAL' })),
    ...watchers.unfinished.map(
      (publicId): Violation => ({
        ...{ promise: 'events', buildId: uuidOf('build', publicId) },
        detail: 'a reader that stayed was not brought to the end',
      }),
    ),
    ...watchers.failures.map((detail): Violation => ({ promise: 'events', detail })),
  ];
}

/** Ends by the kind of agent, and failures by reason. */
async function readOutcomes(db: Database): Promise<Pick<Report, 'agents' | 'failures'>> {
  const ends = await sql<{ agent: string; status: string; count: number }>`
    select spec -> 'labels' ->> 'agent' as agent, status, count(*)::int as count
      from build_audit group by 1, 2 order by 1, 2`.execute(db);
  const reasons = await sql<{ reason: string; count: number; example: string }>`
    select failure ->> 'reason' as reason, count(*)::int as count, min(failure ->> 'message') as example
      from build_audit where failure is not null group by 1 order by 2 desc`.execute(db);
  const agents: Record<string, Record<string, number>> = {};
  for (const { agent, status, count } of ends.rows) agents[agent] = { ...agents[agent], [status]: count };
  return { agents, failures: Object.fromEntries(reasons.rows.map(({ reason, ...rest }) => [reason, rest])) };
}

/** The logs of all processes, and the rows of the builds and tasks that a violation names. */
async function keep(
  cluster: Cluster,
  { folder, violations, recorder }: { folder: string; violations: readonly Violation[]; recorder: Recorder },
): Promise<void> {
  await cp(cluster.logs, folder, { recursive: true });
  const ids = [...new Set(violations.flatMap(({ buildId }) => buildId ?? []))].slice(0, MAX_BUILDS_SHOWN);
  for (const id of ids) {
    const { rows } = await sql`
      select to_jsonb(b) as build,
             (select jsonb_agg(to_jsonb(e) order by seq) from build_events e where e.build_id = b.id) as events,
             (select jsonb_agg(to_jsonb(a) order by attempt_no) from build_attempts a where a.build_id = b.id) as attempts,
             (select jsonb_agg(to_jsonb(d)) from deliveries d where d.build_id = b.id) as deliveries
        from build_audit b where id = ${id}`.execute(cluster.db);
    await writeFile(join(folder, `build-${id}.json`), JSON.stringify(rows[0] ?? null, null, 1));
  }
  const tasks = [...new Set(violations.flatMap(({ taskId }) => taskId ?? []))].slice(0, MAX_BUILDS_SHOWN);
  for (const id of tasks) {
    const { rows } = await sql`
      select to_jsonb(t) as task,
             (select jsonb_agg(to_jsonb(e) order by seq) from task_events e where e.task_id = t.id) as events,
             (select jsonb_agg(to_jsonb(d)) from deliveries d where d.task_id = t.id) as deliveries
        from tasks t where id = ${id}`.execute(cluster.db);
    const { claims, words } = tasksOf(recorder, id);
    await writeFile(
      join(folder, `task-${id}.json`),
      JSON.stringify({ ...(rows[0] as object), claims, words }, null, 1),
    );
  }
}

/** What its claimants were told. */
function tasksOf({ tasks }: Recorder, id: string) {
  const isOwn = ({ taskId }: { readonly taskId: string }) => taskId === id;
  return { claims: tasks.claims.filter(isOwn), words: tasks.words.filter(isOwn) };
}
