import { access, mkdir, realpath, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { removeFolders } from '../std/remove-folders.ts';
import { BUILD_MARK, WORKSPACE_MARK } from './build-mark.ts';
import { openLocalRun } from './local-run.ts';
import { readRegularFile } from './read-file.ts';
import { runCommand } from './run-command.ts';
import { type RunFiles, runFiles } from './run-files.ts';
import type { DetachedCommand, Workspace, WorkspacePaths } from './runtime.ts';
import { type SandboxOptions, sandboxCommand } from './sandbox-command.ts';
import { startRun } from './start-run.ts';

/** Where what is of the build with this root. */
export type LocalLayout = (root: string) => {
  readonly paths: WorkspacePaths;
  readonly files: RunFiles;
  /** Those that are made. */
  readonly folders: readonly string[];
};

/** `git`: where the trusted git folders are, if not in the build's own; `makesGit` false: somebody else makes them. */
export function layoutIn(
  cache: string,
  { git, makesGit = true }: { git?: string; makesGit?: boolean } = {},
): LocalLayout {
  return (root) => {
    const inside = (name: string) => join(root, name);
    const own = { work: inside('work'), home: inside('home'), tmp: inside('tmp') };
    const paths = { root, ...own, git: git === undefined ? inside('git') : join(git, basename(root)), cache };
    const files = runFiles(inside('run'));
    return { paths, files, folders: [...Object.values(own), files.folder, ...(makesGit ? [paths.git] : [])] };
  };
}

export interface LocalWorkspaceOptions {
  readonly buildId: string;
  readonly folder: string;
  /** Null: runs do whatever their user may do. */
  readonly sandbox: SandboxOptions | null;
  readonly layout: LocalLayout;
}

const OWN_PROGRAMS = { node: process.execPath, environment: {}, find: (path: string) => path };

/** Creates or opens the folder of a build; all of it is for this user only. */
export async function openLocalWorkspace(options: LocalWorkspaceOptions): Promise<Workspace> {
  const { buildId, sandbox } = options;
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  const root = await realpath(options.folder);
  const { paths, files, folders } = options.layout(root);
  for (const path of folders) await mkdir(path, { recursive: true, mode: 0o700 });
  async function enclose(command: DetachedCommand): Promise<DetachedCommand> {
    if (sandbox) return sandboxCommand({ sandbox, paths, files }, command);
    if (command.network.access === 'ALL') return command;
    throw new Error('Without a sandbox, a program cannot be kept from the network.');
  }

  return {
    buildId,
    paths,
    sandboxed: sandbox !== null,
    isLocal: true,
    programs: { start: OWN_PROGRAMS, exec: OWN_PROGRAMS },
    exec: (command) =>
      runCommand({ ...command, env: { ...command.env, [BUILD_MARK]: buildId, [WORKSPACE_MARK]: root } }),
    async write(entries) {
      for (const { path, content, executable } of entries) {
        const target = join(paths.work, path);
        await mkdir(dirname(target), { recursive: true });
        await writeFile(target, content, { mode: executable ? 0o755 : 0o644 });
      }
    },
    read: (path) => readRegularFile(path, { root }),
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
  };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
