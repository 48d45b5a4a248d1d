/** The folder of one detached run: all that is known about it, for whoever opens it. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { readProcessStart } from './process-start.ts';
import type { ExitStatus } from './runtime.ts';
import { decodeShellStatus } from './supervisor.ts';

export interface RunFiles {
  readonly folder: string;
  /** Written before anything else: from then on there is a run, however far its start came. */
  readonly command: string;
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  /** `<pid> <start>\n` of the supervisor, written by itself before it starts the program. */
  readonly pid: string;
  /** A space, and `<status>\n`, written once the program has ended. */
  readonly exit: string;
  /** Its first line changes as long as a worker looks after the run. */
  readonly lease: string;
  /** Words for the program, one per line; only there for a program that reads it. */
  readonly inbox: string;
  /** One line for each thing that the runtime has to say of the run; there may be no such file. */
  readonly notices: string;
}

export function runFiles(folder: string): RunFiles {
  const file = (name: string) => join(folder, name);
  return {
    folder,
    command: file('command'),
    stdin: file('stdin'),
    stdout: file('stdout'),
    stderr: file('stderr'),
    pid: file('pid'),
    exit: file('exit'),
    lease: file('lease'),
    inbox: file('inbox'),
    notices: file('notices'),
  };
}

/**
 * Opens a regular file; null if there is none. The program can have put something else in its place, so links are not
 * followed and a FIFO does not block.
 */
export async function openForReading(path: string): Promise<FileHandle | null> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ELOOP') return null;
    throw error;
  }
  if ((await file.stat()).isFile()) return file;
  await file.close();
  return null;
}

/** The supervisor's pid (also that of its group) while it is alive, else null. */
export async function findSupervisor(files: RunFiles): Promise<number | null> {
  const [, pid, start] = /^(\d+) (.+)\n$/.exec(await readStart(files.pid)) ?? [];
  if (pid === undefined || start === undefined) return null;
  return (await readProcessStart(Number(pid))) === start ? Number(pid) : null;
}

/** Null while the program runs. */
export async function readExitStatus(files: RunFiles): Promise<ExitStatus | null> {
  const status = await readExitFile(files.exit);
  if (status !== null) return status;
  if ((await findSupervisor(files)) !== null) return null;
  // It may have written the file and ended since we looked.
  return (await readExitFile(files.exit)) ?? { kind: 'lost' };
}

async function readExitFile(path: string): Promise<ExitStatus | null> {
  const [, status] = /^ ?(\d{1,3})\n$/.exec(await readStart(path)) ?? [];
  return status === undefined ? null : decodeShellStatus(Number(status));
}

const MAX_NOTICES_BYTES = 64 * 1024;

/** Complete lines only: the last may be half written. */
export async function readNotices(files: RunFiles): Promise<string[]> {
  return (await readStart(files.notices, MAX_NOTICES_BYTES)).split('\n').slice(0, -1);
}

/** Appends to the inbox, if there is one. */
export async function appendToInbox({ inbox }: RunFiles, line: string): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(inbox, constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'ENXIO') return;
    throw error;
  }
  try {
    // What a dead writer left of its line ends here.
    // Whole, or it throws: on a full disk `write` writes what has room and says so only in its result.
    await file.appendFile(`\n${line}\n`);
  } finally {
    await file.close();
  }
}

/** The first bytes as text; empty when there is no such file. */
async function readStart(path: string, bytes = 256): Promise<string> {
  const file = await openForReading(path);
  if (file === null) return '';
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
