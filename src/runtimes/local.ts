import { createHash } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { constants } from 'node:fs';
import { cp, open, readdir, realpath, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { removeFolders } from '../std/remove-folders.ts';
import { workspaceMark } from './build-mark.ts';
import { type LocalLayout, layoutIn, openLocalWorkspace } from './local-workspace.ts';
import { runFiles } from './run-files.ts';
import type { Runtime } from './runtime.ts';
import type { SandboxOptions } from './sandbox-command.ts';
import { sweepProcesses } from './sweep-processes.ts';

const HOME = 'home';
/** A build id is also the name of a folder. */
const BUILD_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/;

export interface LocalRuntimeOptions {
  readonly folder: string;
  /** By default none: runs do whatever this user may do. */
  readonly sandbox?: SandboxOptions | null;
  /** By default all of a build is in its folder, and what builds share is beside them all. */
  readonly layout?: LocalLayout;
}

/**
 * Runs builds on this machine, as this user: `<folder>/<buildId>/` holds `work`, `git`, `home`, `tmp` and `run`.
 * Processes that share `folder` share the builds in it. The folder is made with the first build.
 */
export function openLocalRuntime(options: LocalRuntimeOptions): Runtime {
  const { folder, sandbox = null, layout = layoutIn(join(dirname(folder), 'cache')) } = options;
  return {
    name: 'local',
    sandbox: sandbox && `bubblewrap ${sandbox.bubblewrap.version}`,
    place: `${hostname()}:${createHash('sha256').update(dirname(folder)).digest('hex').slice(0, 12)}`,
    closeEnds: false,
    reachesLocalPaths: true,
    problem: () => null,
    networkProblem: ({ access }) =>
      sandbox || access === 'ALL'
        ? null
        : 'This worker has no sandbox, so it cannot limit what the build reaches in the network.',
    open: async (buildId) =>
      openLocalWorkspace({ buildId, folder: join(folder, checkBuildId(buildId)), sandbox, layout }),
    async sweep(buildId) {
      checkBuildId(buildId);
      // Without the folder nothing was ever started here.
      const place = await realpath(folder).catch(() => folder);
      return sweepProcesses(workspaceMark(join(place, buildId)));
    },
    renew: async (buildId) => renewLease(runFiles(join(folder, checkBuildId(buildId), 'run')).lease),
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
    tend: async () => {},
    tendEveryMs: 60_000,
    async copyHome(from, to) {
      const source = join(folder, checkBuildId(from), HOME);
      const target = join(folder, checkBuildId(to), HOME);
      if ((await readFolder(source)).length === 0) return false;
      await rm(target, { recursive: true, force: true });
      await cp(source, target, { recursive: true, verbatimSymlinks: true });
      return true;
    },
    async close(buildId, { keepHome, forget = [] }) {
      const root = join(folder, checkBuildId(buildId));
      const { paths, files } = layout(root);
      for (const name of forget) await rm(join(paths.home, name), { recursive: true, force: true });
      // The run goes after the checkout: while there is a run, a successor does not start the agent again.
      const last = keepHome ? [files.folder] : [paths.home, files.folder, root];
      await removeFolders([paths.work, paths.git, paths.tmp, ...last]);
    },
  };
}
/** Nothing is made here: without the file there is no run. */
async function renewLease(path: string): Promise<void> {
  const lease = await open(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => null);
  try {
    await lease?.write(`${process.hrtime.bigint()}\n`, 0);
  } finally {
    await lease?.close();
  }
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
