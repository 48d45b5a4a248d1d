/**
 * The progress of a build on a terminal: each phase is a task, with the last activity below the one that runs; and so is
 * the waiting for people, below what is asked.
 */
import { Listr } from 'listr2';
import { describeEvent } from './describe-event.ts';
import { explainQuestion } from './describe-question.ts';
import { formatDuration, formatTime } from './format.ts';
import type { Output } from './output.ts';
import { type AskedEvent, isOpen, type View } from './plain-view.ts';

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

export function createLiveView(output: Pick<Output, 'line'>): View {
  let running: Running | null = null;
  let phase = 'QUEUED';
  /** Ids of questions that nobody has answered yet. */
  const open = new Set<string>();
  const begin = async (title: string | null) => {
    await running?.end('done');
    running = title === null ? null : runPhase(title);
  };
  const beginPhase = async (next: string) => {
    phase = next;
    await begin(next === 'DONE' ? null : (TITLES[next] ?? next));
  };
  const ask = async ({ question, expiresAt }: AskedEvent) => {
    open.add(question.id);
    await begin(null);
    for (const line of explainQuestion(question)) output.line(`  ${line}`);
    await begin(`Waits for people until ${formatTime(expiresAt)}`);
  };
  return {
    async show(event) {
      if (event.__typename === 'BuildPhaseChanged') return beginPhase(event.to);
      if (isOpen(event)) return ask(event);
      if (event.__typename === 'BuildQueued') await beginPhase('QUEUED');
      if (event.__typename === 'BuildQuestionClosed' && open.delete(event.questionId) && open.size === 0) {
        await beginPhase(phase);
      }
      running?.tell(describeEvent(event));
      if (event.__typename !== 'BuildFinished') return;
      await running?.end(event.status === 'COMPLETED' ? 'done' : 'failed');
      running = null;
    },
    tellWait: (text) => running?.tell(text),
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
