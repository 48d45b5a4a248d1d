import { access, readFile, stat } from 'node:fs/promises';
import { type RunFiles, readExitStatus } from '../run-files.ts';
import type { RunState } from './call.ts';

/** Version 2 and version 1 of control groups: the line `oom_kill N`. */
const MEMORY_EVENTS = ['/sys/fs/cgroup/memory.events', '/sys/fs/cgroup/memory/memory.oom_control'];

export async function readRunState(files: RunFiles): Promise<RunState> {
  const hasRun = await access(files.command).then(
    () => true,
    () => false,
  );
  const sizes = await Promise.all([files.stdout, files.stderr].map(sizeOf));
  const outputBytes = sizes.reduce((sum, size) => sum + size, 0);
  return { hasRun, exit: hasRun ? await readExitStatus(files) : null, outputBytes, oomKills: await countOomKills() };
}

async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch(() => null);
  return found?.isFile() ? found.size : 0;
}

/** 0 where the kernel does not say. */
async function countOomKills(): Promise<number> {
  for (const path of MEMORY_EVENTS) {
    const text = await readFile(path, 'utf8').catch(() => '');
    const [, count] = /^oom_kill (\d+)$/m.exec(text) ?? [];
    if (count !== undefined) return Number(count);
  }
  return 0;
}
