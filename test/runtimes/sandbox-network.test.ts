/** What a sandboxed run reaches, with a real bubblewrap and a real client. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DetachedCommand, Run } from '../../src/runtimes/runtime.ts';
import { ALL_OF_THE_NETWORK, type NetworkAccess } from '../../src/std/network-access.ts';
import { bubblewrap } from '../support/sandbox.ts';
import { mentions, openSandboxBench, readRun, type SandboxBench } from '../support/sandbox-bench.ts';
import { waitFor } from '../support/wait-for.ts';

const NOTHING: NetworkAccess = { access: 'NONE', hosts: [] };

describe.skipIf(bubblewrap === null)('the network of the sandbox', () => {
  let bench: SandboxBench;
  let server: ReturnType<typeof createServer>;
  let port: number;
  let requests: string[];

  beforeEach(async () => {
    bench = await openSandboxBench();
    requests = [];
    server = createServer((request, response) => {
      requests.push(request.url ?? '');
      response.end('hello from outside');
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    port = (server.address() as AddressInfo).port;
  });

  afterEach(async () => {
    server.close();
    await bench[Symbol.asyncDispose]();
  });

  /** A real client that heeds HTTP_PROXY, one that does not, and what else there may be. */
  const CLIENT = `
    const [url, port] = process.argv.slice(1);
    const net = await import('node:net');
    const tried = (promise) => promise.catch((error) => 'failed: ' + (error.cause?.code ?? error.code ?? error.message));
    console.log('fetch', await tried(fetch(url).then(async (answer) => answer.status + ' ' + (await answer.text()))));
    console.log('direct', await tried(new Promise((done, failed) => {
      net.connect(Number(port), '127.0.0.1', () => done('connected')).on('error', failed);
    })));
    process.exit();`;
  const client = (url: string, network: NetworkAccess, more: Partial<DetachedCommand> = {}) =>
    bench.start('', { argv: [process.execPath, '-e', CLIENT, url, String(port)], network, ...more });

  test('with NONE neither the machine nor its Postgres is reachable, nor anything else', async () => {
    const run = await client(`http://127.0.0.1:${port}/`, NOTHING);
    expect(await readRun(run)).toBe('fetch failed: ECONNREFUSED\ndirect failed: ECONNREFUSED');
    expect(requests).toEqual([]);
    expect(await run.notices()).toEqual([]);
  });

  test('with ALL it is the network of the machine', async () => {
    expect(await readRun(await client(`http://127.0.0.1:${port}/`, ALL_OF_THE_NETWORK))).toBe(
      'fetch 200 hello from outside\ndirect connected',
    );
  });

  test('with HOSTS what is listed is reached through the proxy, and nothing besides it', async () => {
    const network: NetworkAccess = { access: 'HOSTS', hosts: [`127.0.0.1:${port}`] };
    const run = await client(`http://127.0.0.1:${port}/path`, network);
    expect(await readRun(run)).toBe('fetch 200 hello from outside\ndirect failed: ECONNREFUSED');
    expect(requests).toEqual(['/path']);
    expect(await run.notices()).toEqual([]);
  });

  test('with HOSTS everything else is refused, said in the log and told as a notice, once', async () => {
    const network: NetworkAccess = { access: 'HOSTS', hosts: ['*', '127.0.0.1:1'] };
    const hosts = [`127.0.0.1:${port}`, '127.0.0.2:80', '169.254.169.254:80', 'example.com:8443'];
    const script = `for (const host of process.argv.slice(1))
      console.log(host, await fetch('http://' + host).then(({ status }) => status, ({ cause }) => cause.message));`;
    const argv: [string, ...string[]] = [process.execPath, '--input-type=module', '-e', script, ...hosts, ...hosts];
    const run = await bench.start('', { argv, network });
    const output = await readRun(run);
    expect(mentions(output, /cancelled/)).toHaveLength(8);
    const notices = await run.notices();
    expect(notices.map((notice) => /^No connection to (\S+): /.exec(notice)?.[1])).toEqual(hosts);
    expect(mentions(output, /^slipway: No connection/)).toEqual(notices.map((notice) => `slipway: ${notice}`));
    expect(requests).toEqual([]);
  });

  test('what a program cannot do without is reached although the build may reach nothing', async () => {
    const run = await client(`http://127.0.0.1:${port}/model`, NOTHING, { reaches: [`127.0.0.1:${port}`] });
    expect(await readRun(run)).toContain('fetch 200 hello from outside');
    expect(requests).toEqual(['/model']);
  });

  test('the proxy ends with the run, and a stop leaves the program time to end in its own way', async () => {
    const network: NetworkAccess = { access: 'HOSTS', hosts: ['*'] };
    const run = await bench.start('trap "echo bye; exit 9" TERM; echo hi; while :; do sleep 0.01; done', { network });
    await waitFor(async () => (await run.outputBytes()) > 0);
    await run.stop({ graceMs: 20_000 });
    expect(await readRun(run)).toMatch(/^hi\nbye/);
    expect(await run.exitStatus()).toEqual({ kind: 'exited', code: 9 });
    expect(await bench.alive()).toEqual([]);
  });

  test('survives the process that started it, and is attached to', async () => {
    const network: NetworkAccess = { access: 'HOSTS', hosts: [`127.0.0.1:${port}`] };
    const modules = ['local', 'sandbox'].map((name) => new URL(`../../src/runtimes/${name}.ts`, import.meta.url).href);
    const script = `
      const { openLocalRuntime } = await import(${JSON.stringify(modules[0])});
      const { findSandbox } = await import(${JSON.stringify(modules[1])});
      const [data, build, network] = process.argv.slice(1);
      const sandbox = { bubblewrap: await findSandbox('bubblewrap'), readable: [], hidden: data };
      const workspace = await openLocalRuntime({ folder: data + '/builds', sandbox }).open(build);
      const program = 'while [ ! -e go ]; do sleep 0.01; done; exec "$0" -e "$1" http://127.0.0.1:${port}/late ${port}';
      await workspace.start({
        argv: ['/bin/sh', '-c', program, process.execPath, ${JSON.stringify(CLIENT)}],
        cwd: workspace.paths.work, env: { PATH: process.env.PATH }, stdin: '', redact: (line) => line,
        network: JSON.parse(network), files: [process.execPath],
      });
      process.kill(process.pid, 'SIGKILL');`;
    const args = ['--input-type=module', '-e', script, bench.data, bench.build, JSON.stringify(network)];
    const starter = spawn(process.execPath, args, { env: { PATH: process.env.PATH }, stdio: 'inherit' });
    expect(await once(starter, 'exit')).toEqual([null, 'SIGKILL']);
    const run = await bench.workspace.attach((line) => line);
    expect(await run?.exitStatus()).toBeNull();
    await writeFile(join(bench.workspace.paths.work, 'go'), '');
    expect(await readRun(run as Run)).toContain('fetch 200 hello from outside');
    expect(await run?.exitStatus()).toEqual({ kind: 'exited', code: 0 });
    await waitFor(async () => (await bench.alive()).length === 0, { what: 'the end of the proxy' });
  });
});
