/** The state of the queue, once or as it changes. */
import { setTimeout as delay } from 'node:timers/promises';
import { ApiError, ConnectionError } from '../client/errors.ts';
import {
  type QueueFiguresFieldsFragment,
  type QueueNowFragment,
  type QueueSettingsFieldsFragment,
  ShowQueueDocument,
  ShowQueueSettingsDocument,
  ShowTaskStatsDocument,
  type ShowTaskStatsQuery,
  WatchQueueDocument,
} from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findProject } from './find-project.ts';
import { formatDuration, formatTime } from './format.ts';
import type { Io } from './io.ts';
import { type ClientFlags, type Session, withSession } from './session.ts';
import { listenForStop } from './stop-signals.ts';

const RECONNECT_MS = 2_000;
/** Cuts in a row, nothing having come between them. */
const MAX_CUTS = 30;
const HEAD = ['WAITING', 'LATER', 'RUNNING', 'OLDEST', 'PER MINUTE', 'WAIT P50', 'WAIT P95'];

export interface QueueFlags extends ClientFlags {
  readonly project?: string;
  readonly watch?: boolean;
  readonly limit: number;
}

export function queueShow(io: Io, flags: QueueFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const project = flags.project ? await findProject(session, flags.project) : null;
    if (flags.watch) return watch(session, project?.id ?? null);
    const { client, output } = session;
    const filter = project && { projectId: project.id };
    const [{ queueStats }, settings, tasks] = await Promise.all([
      client.request(ShowQueueDocument, { filter, first: flags.limit }),
      ifAllowed(client.request(ShowQueueSettingsDocument, {})),
      ifAllowed(client.request(ShowTaskStatsDocument, { projectId: project?.id ?? null })),
    ]);
    if (output.json) {
      output.value({ ...queueStats, settings: settings?.queue ?? null, tasks: tasks?.taskStats ?? null });
      return EXIT.done;
    }
    const { byProject, byProvider } = queueStats;
    for (const line of settings ? describeSettings(settings.queue) : []) output.line(line);
    output.line(`Builds  ${describe(queueStats)}`);
    for (const line of reasons(queueStats)) output.line(`  ${line}`);
    if (tasks) output.line(`Tasks   ${describeTasks(tasks.taskStats)}`);
    const table = (word: string, rows: string[][]) => {
      output.line('');
      output.table([[word, ...HEAD], ...rows]);
    };
    if (byProject.length > 0) {
      table(
        'PROJECT',
        byProject.map((row) => [oneLine(row.project?.slug ?? row.projectId, 40), ...columns(row)]),
      );
    }
    if (byProvider.length > 0)
      table(
        'AGENT',
        byProvider.map((row) => [oneLine(row.provider, 40), ...columns(row)]),
      );
    return EXIT.done;
  });
}

/** Null for what this token has no right to. */
async function ifAllowed<T>(answer: Promise<T>): Promise<T | null> {
  return answer.catch((error: unknown) => {
    if (error instanceof ApiError && error.notAllowed) return null;
    throw error;
  });
}

/** What holds all back. */
function describeSettings({ pausedAt, pausedBy, maxRunning }: QueueSettingsFieldsFragment): string[] {
  return [
    ...(pausedAt === null ? [] : [`Nothing starts: paused by ${pausedBy} since ${formatTime(pausedAt)}.`]),
    ...(maxRunning === null ? [] : [`At the same time run ${maxRunning} at most.`]),
  ];
}

function describeTasks({ waiting, delayed, running, dead, oldestReadyAt }: ShowTaskStatsQuery['taskStats']): string {
  const parts = [`${waiting} waiting`, `${delayed} for later`, `${running} running`, `${dead} failed`];
  if (oldestReadyAt !== null) parts.push(`oldest ${age(oldestReadyAt)}`);
  return parts.join(' · ');
}

function describe(queue: QueueNowFragment): string {
  const { waiting, scheduled, running, workersOnline, oldestQueuedAt, throughputPerMinute, waitP50Ms, waitP95Ms } =
    queue;
  const parts = [
    `${waiting} waiting`,
    `${scheduled} for later`,
    `${running} running`,
    `${workersOnline} ${workersOnline === 1 ? 'worker' : 'workers'}`,
  ];
  if (oldestQueuedAt !== null) parts.push(`oldest ${age(oldestQueuedAt)}`);
  parts.push(`${throughputPerMinute.toFixed(1)} a minute`);
  if (waitP50Ms !== null && waitP95Ms !== null) {
    parts.push(`waits ${formatDuration(waitP50Ms)}, 95 of 100 at most ${formatDuration(waitP95Ms)}`);
  }
  return parts.join(' · ');
}

function reasons({ byReason }: QueueNowFragment): string[] {
  return byReason.map(({ code, count }) => `${code.padEnd(16)} ${count}`);
}

function columns(row: QueueFiguresFieldsFragment): string[] {
  const { waiting, scheduled, running, oldestQueuedAt, throughputPerMinute, waitP50Ms, waitP95Ms } = row;
  const duration = (milliseconds: number | null) => (milliseconds === null ? '-' : formatDuration(milliseconds));
  return [
    ...[waiting, scheduled, running].map(String),
    oldestQueuedAt === null ? '-' : age(oldestQueuedAt),
    throughputPerMinute.toFixed(1),
    duration(waitP50Ms),
    duration(waitP95Ms),
  ];
}

function age(iso: string): string {
  return formatDuration(Math.max(0, Date.now() - Date.parse(iso)));
}

/** Until Ctrl-C. Who was cut off comes back, and is told how it is then. */
async function watch({ io, client, output }: Session, projectId: string | null): Promise<ExitCode> {
  using stop = listenForStop(io);
  for (let cuts = 0; !stop.first.aborted; cuts += 1) {
    try {
      for await (const { queueActivity } of client.subscribe(WatchQueueDocument, { projectId }, stop.first)) {
        cuts = 0;
        if (output.json) output.record(queueActivity);
        else output.line(`${new Date().toTimeString().slice(0, 8)}  ${describe(queueActivity)}`);
      }
    } catch (error) {
      if (!(error instanceof ConnectionError) || cuts >= MAX_CUTS) throw error;
      output.note(`${error.message} Trying again …`);
    }
    if (!stop.first.aborted) await delay(RECONNECT_MS, undefined, { signal: stop.first }).catch(() => {});
  }
  return EXIT.done;
}
