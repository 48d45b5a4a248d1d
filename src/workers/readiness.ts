/** Can something be begun on this machine: is there room on its disk, and can its runtime be used? */
import type { Config } from '../config/config.ts';
import type { Runtime } from '../runtimes/runtime.ts';
import { isDiskLow } from '../std/disk-space.ts';
import type { Logger } from '../telemetry/logger.ts';

/** A disk that has had room is looked at again after this. */
const ROOM_LASTS_MS = 1_000;

export interface ReadinessDeps {
  readonly config: Pick<Config, 'dataFolder' | 'minFreeMb'>;
  readonly runtime: Pick<Runtime, 'problem'>;
  readonly logger: Logger;
}

export class Readiness {
  readonly #deps: ReadinessDeps;
  #hadRoomAt = Number.NEGATIVE_INFINITY;
  #saidFull = false;
  /** In a row at which the runtime could not be used. */
  #runtimeLooks = 0;

  constructor(deps: ReadinessDeps) {
    this.#deps = deps;
  }

  /** What cannot be begun stays in the queue: for another worker, or until it can. */
  async isReady(): Promise<boolean> {
    return !(await this.#lacksRoom()) && !this.#lacksRuntime();
  }

  async #lacksRoom(): Promise<boolean> {
    const now = performance.now();
    if (now - this.#hadRoomAt < ROOM_LASTS_MS) return false;
    const { config, logger } = this.#deps;
    const lacksRoom = await isDiskLow(config.dataFolder, config.minFreeMb);
    if (!lacksRoom) this.#hadRoomAt = now;
    if (lacksRoom && !this.#saidFull) {
      logger.error(
        { dataFolder: config.dataFolder },
        'the disk is nearly full: no builds are claimed until there is room',
      );
    }
    this.#saidFull = lacksRoom;
    return lacksRoom;
  }

  #lacksRuntime(): boolean {
    const { runtime, logger } = this.#deps;
    const problem = runtime.problem();
    this.#runtimeLooks = problem === null ? 0 : this.#runtimeLooks + 1;
    // A cluster that has just been asked may take a moment to answer.
    if (this.#runtimeLooks === 2) logger.error({ problem }, 'no builds are claimed until they can be run');
    return problem !== null;
  }
}
