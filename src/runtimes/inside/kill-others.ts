/** In a container that has one build only, whatever runs there is the build's, also what took its mark off. */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { NAP } from '../kubernetes/pod-layout.ts';
import { readProcessStart } from '../process-start.ts';

/** What was forking while it was looked for is found by the second. */
const ROUNDS = 2;
const MAX_LOOKS = 500;
const PAUSE_MS = 20;
/** Process 1 keeps the container, by a `sleep` that it begins anew. */
const KEEPER = 1;
const KEEPER_NAP = `${NAP.join('\0')}\0`;
const OWN = `${process.argv.slice(0, 2).join('\0')}\0`;
const readCommandLine = (pid: number) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');

/**
 * Kills every process but the container's first and this one: other calls of workers among them, which come again. Resolves
 * once none of them is alive with how many there were that are not Slipway's. Throws when one cannot be killed.
 */
export async function killOthers(): Promise<number> {
  const killed = new Set<number>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const alive = await findOthers();
    for (const { pid, isOurs } of alive) if (!isOurs) killed.add(pid);
    try {
      // All at once: nothing that lives now can fork afterwards.
      process.kill(-1, 'SIGKILL');
    } catch {
      // There is nothing to be killed.
    }
    for (const { pid, start } of alive) await awaitEnd(pid, start);
  }
  return killed.size;
}

async function awaitEnd(pid: number, start: string): Promise<void> {
  for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
    if ((await readProcessStart(pid)) !== start) return;
    await delay(PAUSE_MS);
  }
  throw new Error(`The process ${pid} cannot be killed.`);
}

async function findOthers() {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const others = pids.filter((pid) => pid !== KEEPER && pid !== process.pid);
  const keeper = await readCommandLine(KEEPER);
  const found = await Promise.all(
    others.map(async (pid) => {
      const start = await readProcessStart(pid);
      return start === null ? [] : [{ pid, start, isOurs: await isOurs(pid, keeper) }];
    }),
  );
  return found.flat();
}

/**
 * Or has ended, and nobody has waited for it yet: it has no command line any more. A fork of the keeper that is not yet a nap
 * has the keeper's. Only the count depends on it.
 */
async function isOurs(pid: number, keeper: string): Promise<boolean> {
  const commandLine = await readCommandLine(pid);
  return ['', KEEPER_NAP, keeper].includes(commandLine) || commandLine.startsWith(OWN);
}
