/** What every process does for the tasks of all: those whose worker is gone go on, those that the queue has lost come back. */
import { type Loop, startLoop } from '../std/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { TaskDeps } from './lease.ts';
import { rescueTasks, restoreTasks } from './rescue-tasks.ts';

const RESCUE_EVERY_MS = 3_000;
const RESTORE_EVERY_MS = 60_000;

export class TaskKeeper implements AsyncDisposable {
  readonly #deps: TaskDeps & { readonly logger: Logger };
  #loops: readonly Loop[] = [];

  constructor(deps: TaskDeps & { readonly logger: Logger }) {
    this.#deps = deps;
  }

  open(): void {
    const { logger } = this.#deps;
    const loop = (everyMs: number, work: () => Promise<number>) =>
      startLoop({
        everyMs,
        work: async () => {
          const count = await work();
          if (count > 0) logger.info({ tasks: count }, 'tasks go on that nobody had');
        },
        onError: (error) => logger.warn({ err: error }, 'tasks could not be looked after: will try again'),
      });
    this.#loops = [
      loop(RESCUE_EVERY_MS, () => rescueTasks(this.#deps)),
      loop(RESTORE_EVERY_MS, () => restoreTasks(this.#deps)),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.stop()));
  }
}
