/** Programs that mean harm, in a real bubblewrap: what they see, change, and leave behind. */
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openLocalRuntime } from '../../src/runtimes/local.ts';
import type { Runtime, Workspace } from '../../src/runtimes/runtime.ts';
import { findSandbox } from '../../src/runtimes/sandbox.ts';
import { ALL_OF_THE_NETWORK, type NetworkAccess } from '../../src/std/network-access.ts';
import { bubblewrap, sandboxOf } from '../support/sandbox.ts';
import { LONG, mentions, openSandboxBench, readRun, type SandboxBench, startIn } from '../support/sandbox-bench.ts';
import { waitFor } from '../support/wait-for.ts';

const SECRET = randomBytes(16).toString('hex');

describe.skipIf(bubblewrap === null)('in the sandbox', () => {
  let bench: SandboxBench;
  let data: string;
  let build: string;
  let runtime: Runtime;
  let workspace: Workspace;
  let start: SandboxBench['start'];
  let printed: SandboxBench['printed'];
  let alive: SandboxBench['alive'];

  beforeEach(async () => {
    bench = await openSandboxBench();
    ({ data, build, runtime, workspace, start, printed, alive } = bench);
  });

  afterEach(() => bench[Symbol.asyncDispose]());

  test('nothing of the data folder is there but the own workspace', async () => {
    const neighbour = await runtime.open(randomUUID());
    await writeFile(join(neighbour.paths.work, 'secret'), SECRET);
    for (const name of ['master.key', 'token', 'builds/secret']) await writeFile(join(data, name), SECRET);
    for (const name of ['artifacts', 'repositories', 'postgres']) {
      await mkdir(join(data, name));
      await writeFile(join(data, name, 'secret'), SECRET);
    }
    await writeFile(join(workspace.paths.git, 'config'), SECRET);
    await writeFile(join(workspace.paths.root, 'secret'), SECRET);
    const output = await printed(`
      find "${data}" -type f 2>&1
      ls -A "${data}" "${data}/builds" "${workspace.paths.root}"
      grep -rs ${SECRET} "${data}" /tmp /run /home /root /var /srv /mnt && echo FOUND
      cat "${data}/master.key" "${workspace.paths.git}/config" "${workspace.paths.root}/run/stdin"
    `);
    expect(output).not.toContain(SECRET);
    expect(output).not.toContain('FOUND');
    const listed = output.split('\n').filter((line) => /^[a-z-]+$/.test(line));
    expect(listed.sort()).toEqual(['builds', 'home', 'tmp', 'work'].sort());
    expect(mentions(output, /cat: .*No such file/)).toHaveLength(3);
  });

  test('what is readable around the data folder does not show it, and PATH adds no folder around it', async () => {
    const outer = join(data, 'outer');
    const hidden = join(outer, 'data');
    await mkdir(join(hidden, 'builds'), { recursive: true });
    await writeFile(join(outer, 'shared'), 'for all');
    await writeFile(join(hidden, 'master.key'), SECRET);
    const sandbox = { ...sandboxOf(hidden), readable: [outer] };
    const inner = await openLocalRuntime({ folder: join(hidden, 'builds'), sandbox }).open(build);
    const output = await readRun(
      await startIn(inner, `cat "${outer}/shared"; cat "${hidden}/master.key"; touch "${hidden}/x"; pwd`),
    );
    expect(output).toContain('for all');
    expect(output).not.toContain(SECRET);
    expect(output).toContain(inner.paths.work);
    expect(mentions(output, /No such file|Read-only file system/)).toHaveLength(2);
    const path = `/usr/bin:/bin:${data}:${homedir()}:/:relative`;
    const listed = await printed(`ls -A "${data}" "${homedir()}"`, { env: { PATH: path } });
    expect(listed).not.toContain('outer');
    expect(mentions(listed, /No such file/)).toHaveLength(1);
  });

  test('of the machine there are programs and settings, and nothing private', async () => {
    const output = await printed(
      'ls -A / | tr "\\n" " "; cat /etc/shadow /etc/gshadow; ls /etc/ssl/private; cat /etc/passwd',
    );
    const [names = ''] = output.split('\n');
    const outside = ['home', 'root', 'var', 'srv', 'mnt', 'media', 'boot', 'sys'];
    expect(names.split(' ').filter((name) => outside.includes(name))).toEqual([]);
    expect(mentions(output, /:\$|^root:\*/)).toEqual([]);
    expect(mentions(output, /shadow: Permission denied/)).toHaveLength(2);
    expect(output).toContain('root:x:0:0');
  });

  test('only work, home and TMPDIR can be written, and /tmp which is its own', async () => {
    const { work, home, tmp } = workspace.paths;
    const mine = randomUUID();
    // The kernel's own value, so that a sandbox that lets it through does no harm.
    const pattern = await readFile('/proc/sys/kernel/core_pattern', 'utf8');
    const output = await printed(`
      for place in / /usr /etc /bin /run /proc /dev/shm/../..; do
        { echo x >"$place/${mine}"; } 2>/dev/null && echo "written: $place"
      done
      { cat /proc/sys/kernel/core_pattern >/tmp/core; cat /tmp/core >/proc/sys/kernel/core_pattern; } 2>/dev/null && echo "written: sysctl"
      { echo 0 >/proc/sysrq-trigger; } 2>/dev/null && echo "written: sysrq"
      for place in "${data}" "${join(data, 'builds')}" "${workspace.paths.root}"; do echo x >"$place/${mine}"; done 2>/dev/null
      for place in "${work}" "${home}" "${tmp}" /tmp; do echo mine >"$place/${mine}" || echo "not written: $place"; done
      rm -rf /usr/bin/env /etc/passwd "${work}/../home" 2>/dev/null
      mv "${work}" "${work}2" 2>/dev/null; rmdir "${work}" 2>/dev/null; ls -d /usr/bin/env /etc/passwd "${work}"
    `);
    expect(mentions(output, /written/)).toEqual([]);
    expect(output.split('\n')).toEqual(['/etc/passwd', work, '/usr/bin/env'].sort());
    for (const path of [work, tmp]) expect(await readFile(join(path, mine), 'utf8')).toBe('mine\n');
    for (const path of ['/tmp', data, join(data, 'builds'), workspace.paths.root]) {
      await expect(access(join(path, mine))).rejects.toThrow('ENOENT');
    }
    expect(await readFile('/proc/sys/kernel/core_pattern', 'utf8')).toBe(pattern);
  });

  test('links lead to nothing outside, those that were there before included', async () => {
    await writeFile(join(data, 'master.key'), SECRET);
    await symlink(data, join(workspace.paths.work, 'data'));
    await symlink('/proc/1/root', join(workspace.paths.work, 'first'));
    const output = await printed(`
      cat data/master.key first${data}/master.key /proc/1/cwd${data}/master.key /proc/self/root${data}/master.key
      cat ../../../master.key; ln "${data}/master.key" hard; ln -s "${data}/builds" own; ls -A own/
      ls /proc/1/fd/ 2>/dev/null | wc -l
    `);
    expect(output).not.toContain(SECRET);
    expect(mentions(output, /No such file|Permission denied/).length).toBeGreaterThanOrEqual(6);
  });

  test('other processes are neither seen nor signalled, and there is no way to more rights', async () => {
    const outside = spawn('/bin/sleep', ['60'], { env: {}, stdio: 'ignore' });
    await once(outside, 'spawn');
    const output = await printed(`
      ls /proc | grep -c '^[0-9]'
      kill -9 ${outside.pid} 2>/dev/null && echo killed; kill -9 -1; kill -9 1
      grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs)' /proc/self/status
      unshare -Ur true 2>/dev/null && echo namespace; mount -t tmpfs x /tmp 2>/dev/null && echo mounted
      chroot / true 2>/dev/null && echo chrooted; nsenter -t 1 -m true 2>/dev/null && echo entered
      su -c true 2>/dev/null && echo su; mknod disk b 8 0 2>/dev/null && echo device; hostname; id -u
    `);
    expect(Number(output.split('\n')[0])).toBeLessThan(8);
    expect(mentions(output, /^Cap/).map((line) => line.split(':')[1]?.trim())).toEqual(Array(5).fill('0'.repeat(16)));
    expect(output).toMatch(/NoNewPrivs:\s1\n/);
    expect(mentions(output, /killed|namespace|mounted|chrooted|entered|^su$|device/)).toEqual([]);
    expect(output.split('\n').slice(-2)).toEqual(['slipway', '65534']);
    expect(outside.exitCode ?? outside.signalCode).toBeNull();
    outside.kill('SIGKILL');
  });

  test('daemons end with the program, in whatever session and without the mark', async () => {
    const daemons = `setsid env -i sleep ${LONG} & setsid sleep ${LONG} & nohup sleep ${LONG} &`;
    const run = await start(`${daemons} echo started; sleep 0.1; exit 5`);
    expect(await readRun(run)).toBe('started');
    expect(await run.exitStatus()).toEqual({ kind: 'exited', code: 5 });
    await waitFor(async () => (await alive()).length === 0, { what: 'the end of the daemons' });
    expect(await runtime.sweep(build)).toBe(0);
  });

  test.each<NetworkAccess>([ALL_OF_THE_NETWORK, { access: 'HOSTS', hosts: ['*'] }])(
    'a supervisor that is killed takes all of the sandbox with it (network $access)',
    async (network) => {
      const run = await start(`env -i setsid sleep ${LONG} & echo alive; sleep ${LONG}`, { network });
      await waitFor(async () => (await run.outputBytes()) > 0);
      await waitFor(async () => (await alive()).length > 2, { what: 'all of the sandbox' });
      const pid = Number.parseInt(await readFile(join(workspace.paths.root, 'run', 'pid'), 'utf8'), 10);
      process.kill(pid, 'SIGKILL');
      await waitFor(async () => (await alive()).length === 0, { what: 'the end of the sandbox' });
      expect(await run.exitStatus()).toEqual({ kind: 'lost' });
    },
  );

  test('the sweep ends what took the mark off, as the sandbox ends with its first process', async () => {
    const run = await start(`exec env -i /bin/sleep ${LONG}`);
    await waitFor(async () => ((await alive()).some((line) => line.startsWith('/bin/sleep')) ? true : null));
    await runtime.sweep(build);
    expect(await alive()).toEqual([]);
    expect(await run.exitStatus()).toEqual({ kind: 'lost' });
  });

  test('git works in the checkout, on the objects that it borrows', async () => {
    const source = join(data, 'caches', 'project.git');
    const git = (...args: string[]) =>
      execFileSync('git', ['-c', 'user.name=A', '-c', 'user.email=a@b.c', '-c', 'init.defaultBranch=main', ...args]);
    git('init', '-q', source);
    git('-C', source, 'commit', '-q', '--allow-empty', '-m', 'from the cache');
    const objects = join(source, '.git', 'objects');
    const { work, git: trusted } = workspace.paths;
    git('init', '-q', work);
    for (const place of [trusted, join(work, '.git')]) {
      await mkdir(join(place, 'objects', 'info'), { recursive: true });
      await writeFile(join(place, 'objects', 'info', 'alternates'), `${objects}\n`);
    }
    await writeFile(join(work, '.git', 'refs', 'heads', 'main'), git('-C', source, 'rev-parse', 'HEAD'));
    const output = await printed(`git log --format=%s; git status -sb; touch "${objects}/x"; ls -A "${source}"`);
    expect(output).toContain('from the cache\n## main');
    expect(output).toContain('Read-only file system');
    expect(output).not.toContain('HEAD');
  });

  test('works for an unprivileged user, too', async () => {
    if (process.getuid?.() !== 0 || bubblewrap === null) return;
    const run = await start('true');
    await readRun(run);
    const { argv } = JSON.parse(await readFile(join(workspace.paths.root, 'run', 'command'), 'utf8')) as {
      argv: [string, ...string[]];
    };
    const folder = await mkdtemp(join(tmpdir(), 'slipway-nobody-'));
    const own = argv.map((word) => word.replaceAll(workspace.paths.root, folder));
    for (const name of ['work', 'home', 'tmp']) await mkdir(join(folder, name), { recursive: true });
    execFileSync('chown', ['-R', '65534:65534', folder]);
    const script = 'id -u; touch ok && ls; cat /etc/shadow; ls /root /home; grep CapEff /proc/self/status';
    const child = spawn(own[0] ?? '', [...own.slice(1, -1), script], {
      uid: 65534,
      gid: 65534,
      env: { PATH: '/usr/bin:/bin' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [stdout, stderr] = await Promise.all([child.stdout.toArray(), child.stderr.toArray()]);
    expect(Buffer.concat(stdout).toString()).toBe('65534\nok\nCapEff:\t0000000000000000\n');
    expect(Buffer.concat(stderr).toString()).toContain('cat: /etc/shadow: Permission denied');
    await rm(folder, { recursive: true, force: true });
  });

  test('what it adds to the start of a run', async () => {
    const plain = openLocalRuntime({ folder: join(data, 'plain') });
    const cases: { name: string; under: Runtime; network: NetworkAccess }[] = [
      { name: 'without', under: plain, network: ALL_OF_THE_NETWORK },
      { name: 'sandboxed', under: runtime, network: ALL_OF_THE_NETWORK },
      { name: 'sandboxed, no network', under: runtime, network: { access: 'NONE', hosts: [] } },
      { name: 'sandboxed, listed hosts', under: runtime, network: { access: 'HOSTS', hosts: ['*'] } },
    ];
    for (const { name, under, network } of cases) {
      const times: number[] = [];
      for (let i = 0; i < 3; i++) {
        const opened = await under.open(randomUUID());
        const startedAt = performance.now();
        expect(await readRun(await startIn(opened, 'echo done', { network }))).toBe('done');
        times.push(performance.now() - startedAt);
        await runtime.close(opened.buildId, { keepHome: false });
      }
      const [, median = 0] = times.sort((a, b) => a - b);
      process.stdout.write(`start to end of a run, ${name}: ${median.toFixed(0)} ms\n`);
    }
  });
});

describe('without a sandbox', () => {
  test('a program that is to be kept from the network is not started', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-plain-'));
    const plain = await openLocalRuntime({ folder }).open(randomUUID());
    const limited = startIn(plain, 'true', { network: { access: 'NONE', hosts: [] } });
    await expect(limited).rejects.toThrow('Without a sandbox');
    expect(await plain.attach((line) => line)).toBeNull();
    await rm(folder, { recursive: true, force: true });
  });

  test('none is said to be none, with what to do', async () => {
    expect(await findSandbox('none')).toMatchObject({
      kind: 'none',
      remedy: expect.stringContaining('SLIPWAY_SANDBOX'),
    });
  });
});
