/** Names a process so that another one can tell whether it is dead. */
import { readFile, readlink } from 'node:fs/promises';
import { readProcessStart } from '../runtimes/process-start.ts';

/**
 * Names this process for good: `<pid>@<start>@<boot>@<pid namespace>`, the last two empty where the system has none. A
 * pid means nothing in another container, and nothing after a reboot.
 */
export async function readProcessKey(): Promise<string> {
  const [start, boot, namespace] = await Promise.all([
    readProcessStart(process.pid),
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
    readlink('/proc/self/ns/pid').catch(() => ''),
  ]);
  return [process.pid, start ?? '', boot.trim(), namespace].join('@');
}

/** Is the process surely dead? False also when it cannot be seen from here, in another container. `own` is this process' key. */
export async function isProcessDead(key: string, own: string): Promise<boolean> {
  const [pid = '', start = '', boot = '', namespace = ''] = key.split('@');
  const [, , ownBoot = '', ownNamespace = ''] = own.split('@');
  if (boot !== ownBoot) return boot !== '' && ownBoot !== '';
  if (namespace !== ownNamespace) return false;
  return (await readProcessStart(Number.parseInt(pid, 10))) !== start;
}
