/**
 * Runs a command once, however often it is asked for: who has lost the connection asks again with the same id, and is
 * given what became of it. Its answer is in a file that only this container sees.
 */
import { randomUUID } from 'node:crypto';
import { link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { packData, unpackData } from '../../std/pack-data.ts';
import { readProcessStart } from '../process-start.ts';
import type { CommandResult } from '../runtime.ts';

/** Who asks again waits this long at most, and asks once more. */
const WAIT_MS = 20_000;
const LOOK_EVERY_MS = 50;
/** An answer that nobody has asked for again by then is not wanted. */
const KEEP_MS = 60 * 60_000;

export type CommandAnswer =
  | { readonly state: 'done'; readonly result: CommandResult }
  | { readonly state: 'running' }
  /** What ran it was killed. */
  | { readonly state: 'lost' }
  /** It could not be started; `code` as of `spawn`. */
  | { readonly state: 'failed'; readonly message: string };

export async function runCommandOnce(
  folder: string,
  { id, run }: { readonly id: string; readonly run: (signal: AbortSignal) => Promise<CommandResult> },
): Promise<CommandAnswer> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const files = filesOf(folder, id);
  if (!(await claim(files))) return waitFor(files);
  await forgetOld(folder);
  const answer = await runHere(run);
  await writeFile(`${files.answer}.draft`, packData(answer), { mode: 0o600 });
  await rename(`${files.answer}.draft`, files.answer);
  return answer;
}

/** Ends the command, if it runs, in its own way; one that is asked for later is lost at once. */
export async function killCommand(folder: string, id: string): Promise<void> {
  const files = filesOf(folder, id);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // Its call may be on its way: it finds this process in its place, which is gone by then.
  if (await claim(files)) return;
  const owner = await findOwner(files);
  try {
    if (owner !== null) process.kill(owner, 'SIGTERM');
  } catch (error) {
    // It has just ended.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** False when another process has it. The file is whole when it is there. */
async function claim(files: CommandFiles): Promise<boolean> {
  const draft = `${files.process}.${randomUUID()}`;
  await writeFile(draft, `${process.pid} ${await readProcessStart(process.pid)}\n`, { mode: 0o600 });
  try {
    await link(draft, files.process);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function runHere(run: (signal: AbortSignal) => Promise<CommandResult>): Promise<CommandAnswer> {
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort());
  try {
    return { state: 'done', result: await run(stop.signal) };
  } catch (error) {
    return { state: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
}

interface CommandFiles {
  readonly process: string;
  readonly answer: string;
}

function filesOf(folder: string, id: string): CommandFiles {
  if (!/^[0-9a-f-]{36}$/.test(id)) throw new Error('The id of a command is a UUID.');
  return { process: join(folder, `${id}.process`), answer: join(folder, `${id}.answer`) };
}

async function waitFor(files: CommandFiles): Promise<CommandAnswer> {
  const until = performance.now() + WAIT_MS;
  while (performance.now() < until) {
    const answer = await readAnswer(files);
    if (answer !== null) return answer;
    // It may have answered since we looked.
    if ((await findOwner(files)) === null) return (await readAnswer(files)) ?? { state: 'lost' };
    await delay(LOOK_EVERY_MS);
  }
  return { state: 'running' };
}

async function readAnswer({ answer }: CommandFiles): Promise<CommandAnswer | null> {
  const bytes = await readFile(answer).catch(() => null);
  return bytes && (unpackData(bytes) as CommandAnswer);
}

/** The pid of the process that runs it; null when it is gone. */
async function findOwner(files: CommandFiles): Promise<number | null> {
  const text = await readFile(files.process, 'utf8').catch(() => '');
  const [, pid, start] = /^(\d+) (.+)\n$/.exec(text) ?? [];
  if (pid === undefined || start === undefined) return null;
  return (await readProcessStart(Number(pid))) === start ? Number(pid) : null;
}

async function forgetOld(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > KEEP_MS) await rm(path, { force: true });
  }
}
