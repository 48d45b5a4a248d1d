/** In a process namespace of its own, as a container has one: there everything is killed that is not the container's first. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { NAP } from '../../../src/runtimes/kubernetes/pod-layout.ts';
import { bubblewrap } from '../../support/sandbox.ts';

const KILL_OTHERS = new URL('../../../src/runtimes/inside/kill-others.ts', import.meta.url).href;
/**
 * `wait`: as another call of a worker does. Else prints what it has killed and what is left, by programs; with an argument once
 * these run.
 */
const PROGRAM = `
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { killOthers } from ${JSON.stringify(KILL_OTHERS)};
const alive = () => readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name) && Number(name) !== process.pid)
  .flatMap((pid) => { try { return [readFileSync('/proc/' + pid + '/cmdline', 'utf8')]; } catch { return []; } })
  .filter((line) => line !== '').map((line) => line.split('\\0')[0]);
const lastPid = () => Number(readFileSync('/proc/loadavg', 'utf8').trim().split(' ').at(-1));
if (process.argv[2] === 'wait') setInterval(() => {}, 1000);
else {
  const awaited = process.argv[2];
  for (let looks = 0; awaited && alive().sort().join() !== awaited && looks < 1000; looks += 1) await delay(10);
  const killed = await killOthers();
  const forks = lastPid();
  await delay(50);
  console.log(JSON.stringify({ killed, left: alive(), forks: lastPid() - forks }));
}
`;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'slipway-kill-'));
  await writeFile(join(folder, 'program.ts'), PROGRAM);
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** The script is that of process 1; `$NODE` runs the program. */
async function runInContainer(script: string): Promise<{ killed: number; left: string[]; forks: number }> {
  const own = ['--unshare-user', '--unshare-pid', '--as-pid-1', '--die-with-parent'];
  const { stdout } = await promisify(execFile)(
    bubblewrap?.program ?? 'bwrap',
    [...own, '--bind', '/', '/', '--dev', '/dev', '--proc', '/proc', '/bin/sh', '-c', script],
    { env: { PATH: process.env.PATH, NODE: `${process.execPath} ${join(folder, 'program.ts')}` }, timeout: 30_000 },
  );
  return JSON.parse(stdout);
}

test.skipIf(!bubblewrap)('kills what has no mark and left its session; counts what is not Slipway’s', async () => {
  const nap = NAP.join(' ');
  const all = ['/bin/sh', process.execPath, 'sleep', 'sleep', 'sleep'];
  const script = `${nap} & env -i setsid sleep 4321 & env -i sleep 4322 & $NODE wait & $NODE ${all.join()} & wait $!`;
  expect(await runInContainer(script)).toEqual({ killed: 2, left: ['/bin/sh'], forks: 0 });
});

test.skipIf(!bubblewrap)('a fork of the keeper that is not yet a nap is not counted', async () => {
  const fork = '(while :; do read -r line </proc/uptime; done)';
  expect(await runInContainer(`${fork} & $NODE & wait $!`)).toEqual({ killed: 0, left: ['/bin/sh'], forks: 0 });
});

test.skipIf(!bubblewrap)('what is another process whenever it is looked for does not get away', async () => {
  const chain = join(folder, 'chain.sh');
  await writeFile(chain, '/bin/sh "$0" & exit');
  const { left, forks } = await runInContainer(
    `for one in 1 2 3 4 5 6 7 8; do env -i /bin/sh ${chain}; done; $NODE & wait $!`,
  );
  expect({ left, forks }).toEqual({ left: ['/bin/sh'], forks: 0 });
});
