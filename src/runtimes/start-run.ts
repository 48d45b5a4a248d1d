import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { failpoint } from '../std/failpoint.ts';
import { BUILD_MARK, INBOX_VARIABLE, WORKSPACE_MARK } from './build-mark.ts';
import { type RunFiles, readExitStatus } from './run-files.ts';
import type { DetachedCommand } from './runtime.ts';
import { supervisorArguments } from './supervisor.ts';

/** The supervisor writes its pid in milliseconds; a machine that takes longer than this is of no use. */
const START_DEADLINE_MS = 30_000;
const PRIVATE = { flag: 'wx', mode: 0o600 };

/** Starts the program detached and resolves once its supervisor is on record. Throws when this folder had a run before. */
export async function startRun(options: { buildId: string; files: RunFiles; command: DetachedCommand }): Promise<void> {
  const { buildId, files, command } = options;
  const { argv, cwd } = command;
  const args = supervisorArguments(command);
  await access(cwd);
  // Whoever creates this file owns the run; without a pid and an exit status beside it, the run counts as lost.
  await writeFile(files.command, `${JSON.stringify({ argv, cwd })}\n`, PRIVATE);
  await writeFile(files.stdin, command.stdin, PRIVATE);
  for (const file of [files.stdout, files.stderr, files.pid]) await writeFile(file, '', PRIVATE);
  await writeFile(files.exit, ' ', PRIVATE);
  await writeFile(files.lease, '0\n', PRIVATE);
  if (command.inbox) await writeFile(files.inbox, '', PRIVATE);
  await failpoint('agent.spawning');
  const marks = {
    [BUILD_MARK]: buildId,
    [WORKSPACE_MARK]: dirname(files.folder),
    ...(command.inbox ? { [INBOX_VARIABLE]: files.inbox } : {}),
  };
  await spawnSupervisor({ args, folder: files.folder, env: { ...command.env, ...marks } });
  await failpoint('agent.spawned');
  if ((await readExitStatus(files))?.kind === 'lost') {
    throw new Error(`The supervisor of build ${buildId} did not start.`);
  }
}

/** Resolves when the supervisor has closed its stdout: its pid is written, or it is dead. */
async function spawnSupervisor(options: { args: string[]; folder: string; env: Record<string, string> }) {
  const child = spawn('/bin/sh', options.args, {
    cwd: options.folder,
    env: options.env,
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(child, 'spawn');
  child.unref();
  await once(child.stdout.resume(), 'end', { signal: AbortSignal.timeout(START_DEADLINE_MS) });
}
