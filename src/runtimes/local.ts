import type { Dirent } from 'node:fs';
import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { buildMark } from './build-mark.ts';
import { openLocalWorkspace } from './local-workspace.ts';
import type { Runtime } from './runtime.ts';
import { sweepProcesses } from './sweep-processes.ts';

const HOME = 'home';
/** A build id is also the name of a folder. */
const BUILD_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/;

/**
 * Runs builds on this machine, as this user and without a sandbox: `<folder>/<buildId>/` holds `work`, `git`, `home`,
 * `tmp` and `run`. Processes that share `folder` share the builds in it. The folder is made with the first build.
 */
export function openLocalRuntime({ folder }: { folder: string }): Runtime {
  return {
    name: 'local',
    open: async (buildId) => openLocalWorkspace({ buildId, folder: join(folder, checkBuildId(buildId)) }),
    sweep: async (buildId) => sweepProcesses(buildMark(checkBuildId(buildId))),
    async list() {
      const entries = await readFolder(folder);
      const ids = entries
        .filter((entry) => entry.isDirectory() && BUILD_ID.test(entry.name))
        .map((entry) => entry.name);
      return Promise.all(
        ids.map(async (buildId) => {
          const left = await readFolder(join(folder, buildId));
          return { buildId, closed: left.every((entry) => entry.name === HOME) };
        }),
      );
    },
    async copyHome(from, to) {
      const source = join(folder, checkBuildId(from), HOME);
      const target = join(folder, checkBuildId(to), HOME);
      if ((await readFolder(source)).length === 0) return false;
      await rm(target, { recursive: true, force: true });
      await cp(source, target, { recursive: true, verbatimSymlinks: true });
      return true;
    },
  };
}

/** Empty when there is no such folder. */
async function readFolder(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function checkBuildId(buildId: string): string {
  if (!BUILD_ID.test(buildId)) throw new Error('A build id has 1 to 100 letters, digits, "_" and "-".');
  return buildId;
}
