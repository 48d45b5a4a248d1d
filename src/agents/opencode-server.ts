/** One OpenCode server for one run: started on a free port of loopback, behind a password that nobody else knows. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentReason } from './agent.ts';

export interface OpenCodeServer {
  readonly url: string;
  readonly password: string;
  readonly isAlive: () => boolean;
  /** Ends it with its process group; resolves when it is gone. */
  end(): Promise<void>;
}

/** The server did not start, for a reason that is not a crash. */
export class OpenCodeStartError extends Error {
  override readonly name = 'OpenCodeStartError';
  readonly reason: AgentReason;
  constructor(reason: AgentReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Bun unpacks itself, the database is made: seconds on a busy machine. */
const START_TIMEOUT_MS = 60_000;
const TERM_MS = 1_000;
const MAX_LAST_WORDS = 2_000;
const SHELLS = ['/bin/bash', '/usr/bin/bash', '/usr/local/bin/bash', '/bin/sh'];
const PLUGIN = '@opencode-ai/plugin';

/** What the commands of the model have no business with. */
const SECRET_VARIABLES = [
  'OPENCODE_SERVER_PASSWORD',
  'OPENCODE_SERVER_USERNAME',
  'OPENCODE_CONFIG_CONTENT',
  'OPENCODE_API_KEY',
];

/** Throws `OpenCodeStartError`. `scratch` is a folder of this run, which need not exist. */
export async function startOpenCodeServer(options: {
  readonly program: string;
  readonly scratch: string;
  readonly config: Readonly<Record<string, unknown>>;
}): Promise<OpenCodeServer> {
  const { program, scratch, config } = options;
  const password = randomBytes(32).toString('base64url');
  const environment = prepareFolders(scratch);
  const child = spawn(program, ['serve', '--hostname=127.0.0.1', '--port=0'], {
    env: {
      ...process.env,
      ...environment,
      OPENCODE_SERVER_PASSWORD: password,
      OPENCODE_CONFIG_CONTENT: JSON.stringify({ ...config, shell: makeShell(scratch) }),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A signal to our group is for us: the server would die of it at once, and its tools would stay.
    detached: true,
  });
  const ended = new Promise<string>((tell) => {
    child.once('error', (error: NodeJS.ErrnoException) => tell(error.code ?? error.message));
    child.once('exit', (code, signal) => tell(signal ?? `exit code ${code}`));
  });
  const end = () => endGroup(child, ended);
  try {
    return { url: await waitForAddress(child, ended), password, isAlive: () => isAlive(child), end };
  } catch (error) {
    await end();
    throw error;
  }
}

function isAlive(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

async function waitForAddress(child: ChildProcess, ended: Promise<string>): Promise<string> {
  let lastWords = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    process.stderr.write(chunk);
    lastWords = (lastWords + chunk.toString()).slice(-MAX_LAST_WORDS);
  });
  const address = new Promise<string>((found) => {
    createInterface({ input: child.stdout ?? process.stdin }).on('line', (line) => {
      const url = /listening on (http:\/\/\S+)/.exec(line)?.[1];
      if (url) found(url);
    });
  });
  const late = delay(START_TIMEOUT_MS, null, { ref: false });
  const first = await Promise.race([address, ended.then((how) => ({ how })), late]);
  if (typeof first === 'string') return first;
  if (first === null) throw new OpenCodeStartError('config', 'OpenCode did not start within a minute.');
  if (first.how === 'ENOENT' || first.how === 'EACCES') {
    throw new OpenCodeStartError('unavailable', `OpenCode could not be run: ${first.how}.`);
  }
  throw new OpenCodeStartError('config', `OpenCode did not start (${first.how}). ${lastWords.trim()}`);
}

async function endGroup(child: ChildProcess, ended: Promise<string>): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (child.pid === undefined || !isAlive(child)) return;
    try {
      process.kill(-child.pid, signal);
    } catch {
      return;
    }
    await Promise.race([ended, delay(TERM_MS, null, { ref: false })]);
  }
}

/**
 * Where OpenCode looks for settings that run code is new and empty for every run: an earlier session, whose home this is,
 * could have left some. Its sessions stay in the home. The settings folder looks as if the plugin library had been
 * installed in it: nothing needs it, and without a network OpenCode would wait for it in vain.
 */
function prepareFolders(scratch: string): Readonly<Record<string, string>> {
  const home = process.env.HOME ?? scratch;
  const folder = (name: string) => join(scratch, name);
  rmSync(scratch, { recursive: true, force: true });
  rmSync(join(home, '.opencode'), { recursive: true, force: true });
  const settings = join(folder('config'), 'opencode');
  mkdirSync(join(settings, 'node_modules'), { recursive: true, mode: 0o700 });
  const dependencies = { [PLUGIN]: '*' };
  writeFileSync(join(settings, 'package.json'), JSON.stringify({ dependencies }));
  const lock = { lockfileVersion: 3, packages: { '': { dependencies } } };
  writeFileSync(join(settings, 'package-lock.json'), JSON.stringify(lock));
  return {
    XDG_CONFIG_HOME: folder('config'),
    XDG_CACHE_HOME: folder('cache'),
    XDG_STATE_HOME: folder('state'),
    // In place of the keys, and of the addresses of settings, that the home may hold.
    OPENCODE_AUTH_CONTENT: '{}',
  };
}

/** A shell that forgets the secrets of the server before it does anything else. It is called as the shell that it is. */
function makeShell(scratch: string): string {
  const real = SHELLS.find((path) => existsSync(path)) ?? '/bin/sh';
  const path = join(scratch, 'shell', basename(real));
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, `#!/bin/sh\nunset ${SECRET_VARIABLES.join(' ')}\nexec ${real} "$@"\n`);
  chmodSync(path, 0o700);
  return path;
}
