/** Postgres refuses to run as root: as root, it runs as somebody else. */
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';

export interface UnixUser {
  readonly uid: number;
  readonly gid: number;
}

/** The user to drop to, or null when this process is not root (or the system has no such notion). */
export async function unprivilegedUser(): Promise<UnixUser | null> {
  if (process.getuid?.() !== 0) return null;
  const entries = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const entry = entries.find((fields) => fields[0] === name);
    if (entry) return { uid: Number(entry[2]), gid: Number(entry[3]) };
  }
  throw new Error(
    'Postgres cannot run as root and this system has neither a user postgres nor nobody. Run Slipway as another user.',
  );
}

/** Can `user` enter this folder through all of its parents? Asked of the kernel, so ACLs and mounts count too. */
export function canEnter(user: UnixUser, folder: string): boolean {
  const probe = spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], { ...user, cwd: '/', stdio: 'ignore', env: {} });
  return probe.status === 0;
}
