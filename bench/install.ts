/** Installs what `bench/package.json` pins, if it is not there as its lockfile has it. Imports nothing that could be missing. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));
const LOCK = `${folder}package-lock.json`;
/** The lockfile that was installed. */
const INSTALLED = `${folder}node_modules/.installed-lock.json`;

const read = (file: string): string | null => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
};

export function installPeers(): void {
  if (read(INSTALLED) === read(LOCK)) return;
  const { status } = spawnSync('npm', ['ci', '--prefix', folder, '--ignore-scripts'], { stdio: 'inherit' });
  if (status !== 0) throw new Error('The packages of bench/ could not be installed.');
  copyFileSync(LOCK, INSTALLED);
}

if (import.meta.main) installPeers();
