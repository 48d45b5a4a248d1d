import { watchTask } from '../client/watch-task.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import { type ClientFlags, withSession } from './session.ts';
import { listenForStop } from './stop-signals.ts';
import { showTask } from './task-show.ts';

export interface TaskWatchFlags extends ClientFlags {
  readonly after?: number;
}

/** Ctrl-C ends the watching, not the task. */
export function taskWatch(io: Io, id: string, flags: TaskWatchFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { client, output } = session;
    using stop = listenForStop(io);
    const after = flags.after ?? 0;
    let last = String(after);
    for await (const event of watchTask(client, id, { after, signal: stop.first })) {
      last = event.cursor;
      if (output.json) output.record(event);
      else output.line(`${formatTime(event.at)}  ${event.type.padEnd(16)} ${oneLine(JSON.stringify(event.data), 200)}`);
    }
    if (stop.first.aborted) {
      output.note(`The task goes on. To go on watching: slipway task watch ${id} --after ${last}`);
      return EXIT.cancelled;
    }
    const status = await showTask(session.output.json ? { ...session, output: silent(session.output) } : session, id);
    if (status === 'FAILED') return EXIT.buildFailed;
    return status === 'CANCELLED' ? EXIT.cancelled : EXIT.done;
  });
}

function silent<O extends object>(output: O): O {
  return { ...output, value: () => {} };
}
