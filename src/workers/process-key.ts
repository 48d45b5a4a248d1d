/** Names a process so that another one can tell whether it is dead. */
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { readProcessStart } from '../runtimes/process-start.ts';

/**
 * Names this process for good: `<pid>@<start>@<boot>@<pid namespace>@<host>`, boot and namespace empty where the system has
 * none. A pid means nothing in another container, and nothing after a reboot.
 */
export async function readProcessKey(): Promise<string> {
  const [start, boot, namespace] = await Promise.all([
    readProcessStart(process.pid),
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
    readlink('/proc/self/ns/pid').catch(() => ''),
  ]);
  return [process.pid, start ?? '', boot.trim(), namespace, hostname()].join('@');
}

/**
 * Is the process surely dead? False also when it cannot be seen from here, in another container or on another machine: workers
 * of one cluster have one place. `own` is this process' key.
 */
export async function isProcessDead(key: string, own: string): Promise<boolean> {
  const [pid = '', start = '', boot = '', namespace = '', host = ''] = key.split('@');
  const [, , ownBoot = '', ownNamespace = '', ownHost = ''] = own.split('@');
  if (boot !== ownBoot) return host === ownHost && ![boot, ownBoot, host].includes('');
  if (namespace !== ownNamespace) return false;
  return (await readProcessStart(Number.parseInt(pid, 10))) !== start;
}
