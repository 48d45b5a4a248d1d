/** Shows a build until its end: what `build watch` and `build start --watch` share. */
import { watchBuild } from '../client/watch-build.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import type { Output } from './output.ts';
import { createJsonView, createPlainView, type View } from './plain-view.ts';
import type { Session } from './session.ts';
import { readBuild, showBuild } from './show-build.ts';
import { listenForStop } from './stop-signals.ts';
import { watchWait } from './watch-wait.ts';

/** A terminal that is smaller, or does not know its size, shows nothing of a moving picture. */
const MIN_COLUMNS = 40;
const MIN_ROWS = 8;

export interface FollowOptions {
  readonly buildId: string;
  /** The cursor of the last event that is not wanted again. */
  readonly after?: number;
  readonly plain?: boolean;
}

/** Ctrl-C ends the watching, not the build. */
export async function followBuild(session: Session, options: FollowOptions): Promise<ExitCode> {
  const { io, client, output } = session;
  const { buildId, after = 0 } = options;
  using stop = listenForStop(io);
  const view = await createView(io, output, options);
  let last = String(after);
  const wait = watchWait(session, buildId, view);
  try {
    const onCut = (error: Error) => output.note(`${error.message} Trying again …`);
    const events = watchBuild(client, buildId, { after, signal: stop.first, ...(output.json ? {} : { onCut }) });
    for await (const event of events) {
      last = event.cursor;
      await view.show(event);
      wait.see(event);
    }
  } finally {
    wait[Symbol.dispose]();
    await view.end();
  }
  if (stop.first.aborted) {
    output.note(`The build goes on. To go on watching: slipway build watch ${buildId} --after ${last}`);
    return EXIT.cancelled;
  }
  const build = await readBuild(session, buildId);
  if (!output.json) showBuild(output, build);
  return exitCodeOf(build.status);
}

/** Chosen by what stdout is, unless a flag says. */
export async function createView(io: Io, output: Output, { buildId, plain }: FollowOptions): Promise<View> {
  if (output.json) return createJsonView(output, buildId);
  const { isTTY, columns = 0, rows = 0 } = io.stdout;
  // Without colours (NO_COLOR, a dumb terminal) there is no moving picture either.
  if (plain || !isTTY || columns < MIN_COLUMNS || rows < MIN_ROWS || !io.stdout.hasColors?.())
    return createPlainView(output);
  const { createLiveView } = await import('./live-view.ts');
  return createLiveView(output);
}

function exitCodeOf(status: string): ExitCode {
  if (status === 'FAILED') return EXIT.buildFailed;
  return status === 'CANCELLED' ? EXIT.cancelled : EXIT.done;
}
