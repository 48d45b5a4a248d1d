import { access, mkdir, realpath, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { removeFolders } from '../std/remove-folders.ts';
import { BUILD_MARK } from './build-mark.ts';
import { openLocalRun } from './local-run.ts';
import { runCommand } from './run-command.ts';
import { runFiles } from './run-files.ts';
import type { Workspace } from './runtime.ts';
import { startRun } from './start-run.ts';

/** Creates or opens the folder of a build; all of it is for this user only. */
export async function openLocalWorkspace(options: { buildId: string; folder: string }): Promise<Workspace> {
  const { buildId } = options;
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  const root = await realpath(options.folder);
  const inside = (name: string) => join(root, name);
  const paths = { root, work: inside('work'), git: inside('git'), home: inside('home'), tmp: inside('tmp') };
  const files = runFiles(inside('run'));
  for (const path of [paths.work, paths.git, paths.home, paths.tmp, files.folder]) {
    await mkdir(path, { recursive: true, mode: 0o700 });
  }
  return {
    buildId,
    paths,
    exec: (command) => runCommand({ ...command, env: { ...command.env, [BUILD_MARK]: buildId } }),
    async write(entries) {
      for (const { path, content, executable } of entries) {
        const target = join(paths.work, path);
        await mkdir(dirname(target), { recursive: true });
        await writeFile(target, content, { mode: executable ? 0o755 : 0o644 });
      }
    },
    async start(command) {
      await startRun({ buildId, files, command });
      return openLocalRun({ buildId, files, redact: command.redact });
    },
    async attach(redact) {
      return (await exists(files.command)) ? openLocalRun({ buildId, files, redact }) : null;
    },
    async close({ keepHome }) {
      // The run goes after the checkout: while there is a run, a successor does not start the agent again.
      const last = keepHome ? [files.folder] : [paths.home, files.folder, root];
      await removeFolders([paths.work, paths.git, paths.tmp, ...last]);
    },
  };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
