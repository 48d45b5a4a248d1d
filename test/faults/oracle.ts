/**
 * The judge of every fault run: holds what clients, subscribers and receivers were told against the rows, the remotes
 * and the processes of this machine. It only reads; what it says of limits, fairness and schedules has been seen by
 * `watchQueue`, which the run has installed in its database. Agents of a run that is judged say something every few seconds, or
 * their silence is taken for a build that is stuck.
 */
import { sql } from 'kysely';
import type { Database } from '../../src/database/database.ts';
import type { BuildStatus } from '../../src/events/vocabulary.ts';
import { fromPublicId } from '../../src/std/public-id.ts';
import { findLeaks } from './find-leaks.ts';
import type { History } from './history.ts';
import { judgeCallbacks } from './judge-callbacks.ts';
import { judgeQueue, type QueueVerdict } from './judge-queue.ts';
import { type BuildRecord, judgeRecord, type RecordRow, readRecords } from './judge-record.ts';
import { judgeSchedules } from './judge-schedules.ts';
import { judgeTasks, type TaskRecord, type TaskVerdict } from './judge-tasks.ts';
import { findMarkedProcesses } from './marked-processes.ts';
import type { Violation } from './promises.ts';
import { readRemoteCommits } from './remote-commits.ts';

export interface Evidence {
  readonly db: Database;
  readonly history: History;
  /** Project (UUID) -> path of its bare repository. Builds of other projects are not looked for on a remote. */
  readonly remotes: ReadonlyMap<string, string>;
  /** Planted where a build could meet them. */
  readonly secrets: readonly string[];
  /** Searched for them: data folders, logs of processes. */
  readonly folders: readonly string[];
  readonly faultEndedAt: Date;
  /** A build may wait this long after the faults; 25 s when absent. */
  readonly patienceMs?: number;
}

export interface Verdict {
  /** Empty: every promise was kept. */
  readonly violations: readonly Violation[];
  readonly counts: {
    readonly builds: number;
    readonly byStatus: Readonly<Partial<Record<BuildStatus, number>>>;
    readonly attempts: number;
    readonly events: number;
    readonly commits: number;
    readonly deliveries: number;
    readonly subscriptions: number;
    /** The longest that any build waited without reason after the faults. */
    readonly maxStuckMs: number;
    readonly tasks: number;
    readonly tasksByStatus: TaskVerdict['byStatus'];
    readonly taskAttempts: number;
    /** Claims of builds and tasks that were checked when they were made. */
    readonly claims: number;
    readonly longestWait: QueueVerdict['longestWait'];
    readonly fires: number;
    readonly passedOver: number;
  };
}

/** Lease 15 s, the look for lost builds 3 s, a claim 2 s, and some slack. */
const PATIENCE_MS = 25_000;

interface Case extends Evidence {
  readonly builds: ReadonlyMap<string, BuildRecord>;
  readonly tasks: readonly TaskRecord[];
}

export async function judge(evidence: Evidence): Promise<Verdict> {
  const { db, history } = evidence;
  const builds = new Map((await readBuilds(db)).map((build) => [build.id, build]));
  const tasks = await judgeTasks(db, history.tasks);
  const all: Case = { ...evidence, builds, tasks: tasks.tasks };
  const records = await judgeRecords(all);
  const remotes = await judgeRemotes(all);
  const queue = await judgeQueue(db);
  const schedules = await judgeSchedules(db);
  const violations = [
    ...judgeAcceptance(all),
    ...records.violations,
    ...remotes.violations,
    ...judgeSubscriptions(all),
    ...tasks.violations,
    ...(await judgeCallbacks(db, { deliveries: history.deliveries, subjects: reported(all) })),
    ...queue.violations,
    ...schedules.violations,
    ...(await judgeProcesses(all)),
    ...(await judgeSecrets(all)),
  ];
  const byStatus: Partial<Record<BuildStatus, number>> = {};
  for (const { status } of builds.values()) byStatus[status] = (byStatus[status] ?? 0) + 1;
  const { deliveries, subscriptions } = history;
  return {
    violations,
    counts: {
      ...{ builds: builds.size, byStatus, attempts: records.attempts, events: records.events },
      ...{ commits: remotes.commits, deliveries: deliveries.length, subscriptions: subscriptions.length },
      ...{ tasks: tasks.tasks.length, tasksByStatus: tasks.byStatus, taskAttempts: tasks.attempts },
      ...{ claims: queue.claims, longestWait: queue.longestWait },
      ...{ fires: schedules.fires, passedOver: schedules.passedOver, maxStuckMs: records.maxStuckMs },
    },
  };
}

function readBuilds(db: Database): Promise<BuildRecord[]> {
  return db
    .selectFrom('build_audit')
    .select(['id', 'status', 'project_id as projectId', 'idempotency_key as idempotencyKey', 'attempt_no as attemptNo'])
    .select(['last_seq as lastSeq', 'last_line as lastLine', 'push_intent_sha as intentSha', 'pushed_sha as pushedSha'])
    .select(['run_after as runAfter', sql<boolean>`schedule_id is not null`.as('isScheduled')])
    .select([
      sql<string | null>`spec ->> 'callbackUrl'`.as('callbackUrl'),
      sql<string | null>`result ->> 'publication'`.as('publication'),
      sql<string | null>`result ->> 'commitSha'`.as('commitSha'),
    ])
    .execute();
}

function isOver({ status }: { readonly status: string }): boolean {
  return status !== 'PENDING' && status !== 'RUNNING';
}

function reported({ builds, tasks }: Case) {
  return [
    ...[...builds.values()].map((build) => ({ ...build, isTask: false, isOver: isOver(build) })),
    ...tasks.map((task) => ({ ...task, isTask: true, isOver: isOver(task) })),
  ];
}

/** Nothing that a client was told is missing, and nothing is there that nobody asked for. */
function judgeAcceptance({ history, builds }: Case): Violation[] {
  const violations: Violation[] = [];
  const lost = (detail: string, buildId?: string) =>
    violations.push({ promise: 'lost', detail, ...(buildId ? { buildId } : {}) });
  const byKey = new Map<string, string[]>();
  for (const build of builds.values()) {
    // A schedule gives its builds keys of its own.
    if (build.idempotencyKey === null || build.isScheduled) continue;
    const key = `${build.projectId} ${build.idempotencyKey}`;
    byKey.set(key, [...(byKey.get(key) ?? []), build.id]);
  }
  const asked = new Set<string>();
  for (const { projectId, idempotencyKey, buildId } of history.accepted) {
    const key = `${projectId} ${idempotencyKey}`;
    asked.add(key);
    const found = byKey.get(key) ?? [];
    if (!builds.has(buildId)) lost(`accepted for key ${idempotencyKey}, and not there`, buildId);
    else if (!found.includes(buildId)) lost(`not the build of its key ${idempotencyKey}`, buildId);
  }
  for (const { projectId, idempotencyKey } of history.unanswered) asked.add(`${projectId} ${idempotencyKey}`);
  for (const [key, found] of byKey) {
    if (found.length > 1) lost(`${found.length} builds for the key ${key}`, found[1]);
    if (!asked.has(key)) lost(`nobody asked for the key ${key}`, found[0]);
  }
  return violations;
}

/** Each build's own rows; see judge-record.ts. */
async function judgeRecords(all: Case) {
  const violations: Violation[] = [];
  let [attempts, events, maxStuckMs] = [0, 0, 0];
  const { now, moves } = await readMoves(all);
  for await (const row of readRecords(all.db, [...all.builds.values()])) {
    const { build } = row;
    for (const violation of judgeRecord(row)) violations.push({ ...violation, buildId: build.id });
    attempts += row.attempts.length;
    events += row.events.length;
    const stuckMs = longestWait(row, { from: all.faultEndedAt.getTime(), now, moves });
    maxStuckMs = Math.max(maxStuckMs, stuckMs);
    const patienceMs = all.patienceMs ?? PATIENCE_MS;
    if (stuckMs > patienceMs) {
      const detail = `nothing happened to it for ${Math.round(stuckMs / 1000)} s after the faults (${build.status})`;
      violations.push({ promise: 'stuck', buildId: build.id, detail });
    } else if (!isOver(build)) {
      violations.push({ promise: 'stuck', buildId: build.id, detail: `it is still ${build.status}` });
    }
  }
  return { violations, attempts, events, maxStuckMs };
}

/** When a build or a task was claimed or ended after the faults, in milliseconds: while that goes on, waiting has a reason. */
async function readMoves({ db, faultEndedAt }: Case): Promise<{ now: number; moves: readonly number[] }> {
  const { rows: clock } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(db);
  const { rows } = await sql<{ at: Date }>`
    select at from build_events where type in ('STARTED', 'FINISHED') and at >= ${faultEndedAt}
    union all
    select at from task_events where type in ('CLAIMED', 'FINISHED') and at >= ${faultEndedAt}
    order by at`.execute(db);
  return { now: clock[0]?.now.getTime() ?? Date.now(), moves: rows.map(({ at }) => at.getTime()) };
}

/** The longest stretch in milliseconds in which a running build was silent, or a waiting one while nothing else moved. */
function longestWait(
  { build, events }: RecordRow,
  { from, now, moves }: { from: number; now: number; moves: readonly number[] },
): number {
  let longest = 0;
  let waiting = true;
  const runAfter = build.runAfter?.getTime() ?? 0;
  for (const [index, event] of events.entries()) {
    if (event.type === 'STARTED') waiting = false;
    if (event.type === 'RETRY_SCHEDULED') waiting = true;
    if (event.type === 'FINISHED') break;
    const resumeAt = event.resumeAt === null ? 0 : Date.parse(event.resumeAt);
    const start = Math.max(event.at.getTime(), from, waiting ? Math.max(runAfter, resumeAt) : 0);
    const end = events[index + 1]?.at.getTime() ?? now;
    if (end <= start) continue;
    const marks = waiting ? moves.filter((at) => at > start && at < end) : [];
    const points = [start, ...marks, end];
    for (let i = 1; i < points.length; i += 1) longest = Math.max(longest, (points[i] ?? 0) - (points[i - 1] ?? 0));
  }
  return longest;
}

async function judgeRemotes({ remotes, builds, history }: Case): Promise<{ violations: Violation[]; commits: number }> {
  const violations: Violation[] = [];
  const seen = new Map<string, Set<string>>();
  for (const [projectId, path] of remotes) {
    for (const { sha, build: publicId } of await readRemoteCommits(path)) {
      const build = builds.get(fromPublicId('build', publicId) ?? '');
      if (!build || build.projectId !== projectId) {
        violations.push({ promise: 'commits', detail: `${path} has ${sha} of ${publicId}, which is no build of it` });
        continue;
      }
      const shas = seen.get(build.id) ?? new Set();
      seen.set(build.id, shas.add(sha));
      const buildId = build.id;
      if (shas.size === 2) violations.push({ promise: 'commits', buildId, detail: `commits ${[...shas]} on ${path}` });
      if (sha !== build.intentSha) {
        violations.push({ promise: 'commits', buildId, detail: `${sha} was pushed, ${build.intentSha} intended` });
      }
    }
  }
  for (const build of builds.values()) {
    if (!remotes.has(build.projectId) || build.publication !== 'PUSHED') continue;
    const sha = build.pushedSha ?? '';
    if (sha !== build.commitSha || !seen.get(build.id)?.has(sha)) {
      violations.push({
        promise: 'commits',
        buildId: build.id,
        detail: `it says PUSHED ${build.commitSha}: not there`,
      });
    }
  }
  for (const { buildId } of history.cancelled) {
    const build = builds.get(buildId);
    if (seen.has(buildId) || build?.intentSha) {
      violations.push({ promise: 'cancelled', buildId, detail: 'its cancel was acknowledged, and it was published' });
    }
  }
  return { violations, commits: [...seen.values()].reduce((sum, shas) => sum + shas.size, 0) };
}

function judgeSubscriptions({ history, builds }: Case): Violation[] {
  return history.subscriptions.flatMap(({ buildId, after, cursors, ended }): Violation[] => {
    const last = builds.get(buildId)?.lastSeq ?? 0;
    const broken = cursors.findIndex((cursor, index) => cursor !== after + index + 1);
    const violation = (detail: string): Violation[] => [{ promise: 'events', buildId, detail }];
    if (broken >= 0)
      return violation(`a subscriber behind ${after} was given ${cursors[broken]} as number ${broken + 1}`);
    if (after + cursors.length > last) return violation(`a subscriber saw ${after + cursors.length} of ${last} events`);
    if (ended && after + cursors.length < last) return violation(`a subscription ended before event ${last}`);
    return [];
  });
}

async function judgeProcesses({ builds, tasks }: Case): Promise<Violation[]> {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  return (await findMarkedProcesses()).flatMap(({ pid, buildId: id }): Violation[] => {
    const build = builds.get(id);
    const owner = build ?? byId.get(id);
    if (!owner || !isOver(owner)) return [];
    const whose = build ? { buildId: id } : { taskId: id };
    return [{ promise: 'processes', ...whose, detail: `process ${pid} is alive, and its owner is ${owner.status}` }];
  });
}

async function judgeSecrets({ db, folders, remotes, secrets }: Case): Promise<Violation[]> {
  const places = await findLeaks({ db, folders, repositories: [...remotes.values()] }, secrets);
  return places.map((place): Violation => ({ promise: 'secrets', detail: `a planted secret is in ${place}` }));
}
