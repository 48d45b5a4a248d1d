import { access, mkdir, realpath, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { removeFolders } from '../std/remove-folders.ts';
import { BUILD_MARK, WORKSPACE_MARK } from './build-mark.ts';
import { openLocalRun } from './local-run.ts';
import { runCommand } from './run-command.ts';
import { runFiles } from './run-files.ts';
import type { DetachedCommand, Workspace } from './runtime.ts';
import { type SandboxOptions, sandboxCommand } from './sandbox-command.ts';
import { startRun } from './start-run.ts';

export interface LocalWorkspaceOptions {
  readonly buildId: string;
  readonly folder: string;
  /** Null: runs do whatever their user may do. */
  readonly sandbox: SandboxOptions | null;
}

/** Creates or opens the folder of a build; all of it is for this user only. */
export async function openLocalWorkspace(options: LocalWorkspaceOptions): Promise<Workspace> {
  const { buildId, sandbox } = options;
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  const root = await realpath(options.folder);
  const inside = (name: string) => join(root, name);
  const paths = { root, work: inside('work'), git: inside('git'), home: inside('home'), tmp: inside('tmp') };
  const files = runFiles(inside('run'));
  for (const path of [paths.work, paths.git, paths.home, paths.tmp, files.folder]) {
    await mkdir(path, { recursive: true, mode: 0o700 });
  }
  async function enclose(command: DetachedCommand): Promise<DetachedCommand> {
    if (sandbox) return sandboxCommand({ sandbox, paths, files }, command);
    if (command.network.access === 'ALL') return command;
    throw new Error('Without a sandbox, a program cannot be kept from the network.');
  }

  return {
    buildId,
    paths,
    sandboxed: sandbox !== null,
    exec: (command) =>
      runCommand({ ...command, env: { ...command.env, [BUILD_MARK]: buildId, [WORKSPACE_MARK]: root } }),
    async write(entries) {
      for (const { path, content, executable } of entries) {
        const target = join(paths.work, path);
        await mkdir(dirname(target), { recursive: true });
        await writeFile(target, content, { mode: executable ? 0o755 : 0o644 });
      }
    },
    async start(command) {
      await startRun({ buildId, files, command: await enclose(command) });
      return openLocalRun({ files, redact: command.redact });
    },
    async attach(redact) {
      return (await exists(files.command)) ? openLocalRun({ files, redact }) : null;
    },
    async forgetRun() {
      await removeFolders([files.folder]);
      await mkdir(files.folder, { mode: 0o700 });
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
