import { once } from 'node:events';
import { LogEndDocument } from '../client/generated.ts';
import { type LogLine, watchLog } from '../client/watch-log.ts';
import { cleanText } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findBuildId, noBuild } from './find-build.ts';
import type { Io } from './io.ts';
import { type ClientFlags, type Session, withSession } from './session.ts';
import { listenForStop } from './stop-signals.ts';

export interface BuildLogsFlags extends ClientFlags {
  readonly follow?: boolean;
  readonly after?: number;
}

export function buildLogs(io: Io, reference: string, flags: BuildLogsFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const buildId = await findBuildId(session, reference);
    const { build } = await session.client.request(LogEndDocument, { id: buildId });
    if (!build) throw noBuild(reference);
    const after = flags.after ?? 0;
    const until = flags.follow ? Number.POSITIVE_INFINITY : build.log.totalCount;
    return until <= after ? EXIT.done : printLines(session, { buildId, after, until });
  });
}

interface Wanted {
  readonly buildId: string;
  readonly after: number;
  /** The number of the last line. */
  readonly until: number;
}

async function printLines({ io, client, output }: Session, { buildId, after, until }: Wanted): Promise<ExitCode> {
  using stop = listenForStop(io);
  let last = after;
  const print = (line: LogLine) => {
    if (output.json) output.record({ buildId, ...line });
    else output.line(cleanText(line.text));
    last = line.number;
  };
  for await (const lines of watchLog(client, buildId, { after, signal: stop.first })) {
    for (const line of lines) if (line.number <= until) print(line);
    if (last >= until) return EXIT.done;
    // A pager that is not read keeps us waiting, instead of the log piling up here.
    if (io.stdout.writableNeedDrain) await once(io.stdout, 'drain');
  }
  if (!stop.first.aborted) return EXIT.done;
  output.note(`The build goes on. To go on reading: slipway build logs ${buildId} --follow --after ${last}`);
  return EXIT.cancelled;
}
