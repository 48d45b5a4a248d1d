/** The folder of one `slipway up`: made where it is missing, and used by one process at a time. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readProcessStart } from '../runtimes/process-start.ts';
import { CliError } from './exit-code.ts';

/** Attempts to take a lock that dead processes leave behind. */
const MAX_TRIES = 5;

interface Owner {
  readonly pid: number;
  /** See readProcessStart. */
  readonly start: string;
}

/** Makes the folder and takes it for this process. Throws CliError when it cannot be written or is taken. */
export async function takeDataFolder(folder: string): Promise<AsyncDisposable> {
  const file = join(folder, 'slipway.pid');
  const content = JSON.stringify({ pid: process.pid, start: await readProcessStart(process.pid) });
  try {
    // As root, Postgres runs as another user, who must be able to pass through.
    await mkdir(folder, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      if (await create(file, content)) return { [Symbol.asyncDispose]: () => release(file, content) };
      const owner = await readOwner(file);
      if (owner && (await readProcessStart(owner.pid)) === owner.start) throw taken(folder, owner.pid);
      await rm(file, { force: true });
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CliError(`The data folder ${folder} cannot be used: ${reason}`, {
      code: 'DATA_FOLDER',
      hints: ['Make it writable, or choose another one with SLIPWAY_DATA.'],
    });
  }
  throw new CliError(`The data folder ${folder} is wanted by several processes at once.`, { code: 'DATA_FOLDER' });
}

function taken(folder: string, pid: number): CliError {
  return new CliError(`Slipway runs already on ${folder} (process ${pid}).`, {
    code: 'ALREADY_RUNNING',
    hints: [`Stop it (kill ${pid}), or choose another folder and port with SLIPWAY_DATA and SLIPWAY_PORT.`],
  });
}

async function create(file: string, content: string): Promise<boolean> {
  try {
    await writeFile(file, content, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Null when the file is gone or was cut short by a crash. */
async function readOwner(file: string): Promise<Owner | null> {
  try {
    const owner: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (typeof owner !== 'object' || owner === null || !('pid' in owner) || !('start' in owner)) return null;
    return typeof owner.pid === 'number' && typeof owner.start === 'string'
      ? { pid: owner.pid, start: owner.start }
      : null;
  } catch {
    return null;
  }
}

async function release(file: string, content: string): Promise<void> {
  const present = await readFile(file, 'utf8').catch(() => null);
  if (present === content) await rm(file, { force: true });
}
