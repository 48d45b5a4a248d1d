/** The progress of a build on a terminal: each phase is a task, with the last activity below the one that runs. */
import { Listr } from 'listr2';
import { describeEvent } from './describe-event.ts';
import { formatDuration } from './format.ts';
import type { View } from './plain-view.ts';

const ACTIVITY_LINES = 4;
const TICK_MS = 1_000;

const TITLES: Readonly<Record<string, string>> = {
  QUEUED: 'Queued',
  PREPARING: 'Prepare the workspace',
  AGENT: 'Agent',
  VERIFYING: 'Verify',
  PUBLISHING: 'Commit and push',
  COLLECTING: 'Collect artifacts',
};

/** `left`: it goes on, and is no longer watched. */
type Ending = 'done' | 'failed' | 'left';

/** A phase that runs. An attempt can go back to an earlier phase, so each gets a task list of its own. */
interface Running {
  tell(line: string): void;
  /** Resolves when the last frame is drawn. */
  end(ending: Ending): Promise<void>;
}

export function createLiveView(): View {
  let running: Running | null = null;
  const begin = async (phase: string) => {
    await running?.end('done');
    running = phase === 'DONE' ? null : runPhase(TITLES[phase] ?? phase);
  };
  return {
    async show(event) {
      if (event.__typename === 'BuildPhaseChanged') return begin(event.to);
      if (event.__typename === 'BuildQueued') await begin('QUEUED');
      running?.tell(describeEvent(event));
      if (event.__typename !== 'BuildFinished') return;
      await running?.end(event.status === 'COMPLETED' ? 'done' : 'failed');
      running = null;
    },
    async end() {
      await running?.end('left');
      running = null;
    },
  };
}

function runPhase(title: string): Running {
  const since = performance.now();
  const ended = Promise.withResolvers<Ending>();
  let tell = (_line: string) => {};
  const list = new Listr(
    [
      {
        title,
        task: async (_context, task) => {
          const titleNow = () => `${title} · ${formatDuration(performance.now() - since)}`;
          const tick = setInterval(() => {
            task.title = titleNow();
          }, TICK_MS);
          tell = (line) => {
            task.output = line;
          };
          const ending = await ended.promise;
          clearInterval(tick);
          task.title = titleNow();
          if (ending === 'left') task.skip();
          if (ending === 'failed') throw new Error(title);
        },
        rendererOptions: { outputBar: ACTIVITY_LINES },
      },
    ],
    {
      exitOnError: false,
      // Ctrl-C is ours: the build goes on, and we say how to go on watching.
      registerSignalListeners: false,
      // What went wrong is in the summary that follows.
      rendererOptions: { formatOutput: 'truncate', showErrorMessage: false },
    },
  );
  const drawn = list.run();
  return {
    tell: (line) => tell(line),
    async end(ending) {
      ended.resolve(ending);
      await drawn;
    },
  };
}
