import { ShowTaskStatsDocument } from '../client/generated.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findProject } from './find-project.ts';
import { formatDuration, formatTable } from './format.ts';
import type { Io } from './io.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface TaskStatsFlags extends ClientFlags {
  readonly project?: string;
  readonly type?: string;
}

export function taskStats(io: Io, { project, type, ...flags }: TaskStatsFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const filter = {
      projectId: project ? (await findProject(session, project)).id : null,
      type: type ?? null,
    };
    const { taskStats: stats } = await session.client.request(ShowTaskStatsDocument, filter);
    if (session.output.json) {
      session.output.value(stats);
      return EXIT.done;
    }
    const { oldestReadyAt, waitP50Ms, waitP95Ms } = stats;
    const waited = waitP50Ms === null || waitP95Ms === null ? '-' : toWaits(waitP50Ms, waitP95Ms);
    const age = oldestReadyAt === null ? null : Math.max(0, Date.now() - Date.parse(oldestReadyAt));
    session.output.line(
      formatTable([
        ['Waiting', String(stats.waiting)],
        ['For later', String(stats.delayed)],
        ['Running', String(stats.running)],
        ['Failed', String(stats.dead)],
        ['Oldest', age === null ? '-' : `waits for ${formatDuration(age)}`],
        ['A minute', stats.throughputPerMinute.toFixed(1)],
        ['Waits', waited],
      ]),
    );
    return EXIT.done;
  });
}

function toWaits(p50: number, p95: number): string {
  return `${formatDuration(p50)}, 95 of 100 at most ${formatDuration(p95)}`;
}
