/** One function per thing that Slipway needs. None of them throws or takes over 15 s. */
import { mkdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import { createAgents } from '../agents/agents.ts';
import { agentOptions } from '../config/agent-options.ts';
import { baseEnvironment, type Config } from '../config/config.ts';
import { locatePostgres } from '../database/postgres-binaries.ts';
import { unprivilegedUser } from '../database/unprivileged-user.ts';
import { findSandbox } from '../runtimes/sandbox.ts';
import { leastFreeBytes, readDiskSpace } from '../std/disk-space.ts';
import { checkArtifacts } from './doctor-artifacts.ts';
import { checkDatabase } from './doctor-database.ts';
import { checkMasterKey } from './doctor-master-key.ts';
import { type Finding, finding, messageOf } from './finding.ts';
import { formatBytes } from './format.ts';

const COMMAND_LIMIT_MS = 10_000;

export async function runChecks(config: Config): Promise<Finding[]> {
  const found = await Promise.all([
    checkNode(),
    checkNpm(),
    checkGit(),
    config.databaseUrl ? checkDatabase(config.databaseUrl, config.databaseDirectUrl) : checkEmbeddedPostgres(),
    checkDataFolder(config),
    checkArtifacts(config),
    checkPort(config),
    checkMasterKey(config, config.databaseUrl),
    // In pods it is their own programs that count, and what is around them.
    ...(config.runtime === 'kubernetes' ? [] : [checkSandbox(config), checkAgents(config)]),
  ]);
  return found.flat();
}

/** `git version 2.39.5` -> [2, 39]; null when the program cannot be run. */
async function readVersion(file: string, args: readonly string[]): Promise<{ text: string; parts: number[] } | null> {
  try {
    const { stdout } = await execa(file, args, {
      env: baseEnvironment(),
      extendEnv: false,
      timeout: COMMAND_LIMIT_MS,
    });
    const text = stdout.trim().split('\n')[0] ?? '';
    return { text, parts: (/\d+(\.\d+)*/.exec(text)?.[0] ?? '').split('.').map(Number) };
  } catch {
    return null;
  }
}

async function checkNode(): Promise<Finding> {
  const [major = 0] = process.versions.node.split('.').map(Number);
  if (major >= 24) return finding('ok', 'node', process.version);
  return finding('warn', 'node', process.version, 'Node 24 is recommended; the npm scripts of a checkout bring it.');
}

async function checkNpm(): Promise<Finding> {
  const version = await readVersion('npm', ['--version']);
  if (version) return finding('ok', 'npm', version.text);
  return finding('warn', 'npm', 'not found', 'It comes with Node; builds of JavaScript projects need it.');
}

async function checkGit(): Promise<Finding> {
  const version = await readVersion('git', ['--version']);
  if (!version) return finding('fail', 'git', 'not found', 'Install git: apt-get install git, or brew install git.');
  const [major = 0, minor = 0] = version.parts;
  if (major > 2 || (major === 2 && minor >= 38)) return finding('ok', 'git', version.text);
  return finding('warn', 'git', version.text, 'git 2.38 or newer is recommended.');
}

async function checkEmbeddedPostgres(): Promise<Finding> {
  try {
    const { postgres } = await locatePostgres(await unprivilegedUser());
    const version = await readVersion(postgres, ['--version']);
    if (version) return finding('ok', 'database', `embedded, ${version.text}`);
    const remedy = 'Its libraries do not fit this system: set SLIPWAY_DATABASE_URL to a Postgres 15 or newer.';
    return finding('fail', 'database', 'The embedded Postgres cannot be run.', remedy);
  } catch (error) {
    return finding('fail', 'database', messageOf(error), 'Run npm ci again, or set SLIPWAY_DATABASE_URL.');
  }
}

async function checkDataFolder({ dataFolder: folder, minFreeMb }: Config): Promise<Finding> {
  const probe = join(folder, `doctor.${process.pid}`);
  let isNew = false;
  try {
    isNew = (await mkdir(folder, { recursive: true })) !== undefined;
    await writeFile(probe, '');
    const space = await readDiskSpace(folder);
    const [free, least] = [space.freeBytes, leastFreeBytes(space, minFreeMb)];
    const message = `${folder}, ${formatBytes(free)} free`;
    if (free < least) {
      const remedy = `Builds need ${formatBytes(least)}: make room, choose another folder with SLIPWAY_DATA, or set SLIPWAY_MIN_FREE_MB.`;
      return finding('fail', 'data folder', `${message}: no builds are taken`, remedy);
    }
    const remedy = 'Make room, or choose another folder with SLIPWAY_DATA.';
    if (free < 2 * least) return finding('warn', 'data folder', message, remedy);
    return finding('ok', 'data folder', message);
  } catch (error) {
    const remedy = 'Make it writable, or choose another one with SLIPWAY_DATA.';
    return finding('fail', 'data folder', `${folder}: ${messageOf(error)}`, remedy);
  } finally {
    await rm(probe, { force: true }).catch(() => {});
    if (isNew) await rmdir(folder).catch(() => {});
  }
}

async function checkPort({ host, port }: Config): Promise<Finding> {
  const place = `${host}:${port}`;
  const problem = await tryToListen(host, port);
  if (problem === null) return finding('ok', 'port', `${place} is free`);
  if (problem === 'EADDRINUSE' && (await answersAsSlipway(host, port))) {
    return finding('ok', 'port', `${place}: Slipway runs there`);
  }
  return finding('fail', 'port', `${place}: ${problem}`, 'Choose another one with SLIPWAY_PORT and SLIPWAY_HOST.');
}

function tryToListen(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(port, host, () => server.close(() => resolve(null)));
  });
}

async function answersAsSlipway(host: string, port: number): Promise<boolean> {
  const name = host.includes(':') ? `[${host}]` : host;
  try {
    const response = await fetch(`http://${name}:${port}/readyz`, { signal: AbortSignal.timeout(2_000) });
    const answer: unknown = await response.json();
    return typeof answer === 'object' && answer !== null && 'status' in answer;
  } catch {
    return false;
  }
}

async function checkSandbox({ sandbox: mode }: Config): Promise<Finding> {
  const sandbox = await findSandbox(mode);
  if (sandbox.kind === 'bubblewrap') return finding('ok', 'sandbox', `bubblewrap ${sandbox.version}`);
  const message = `${sandbox.reason} Agents can do whatever this user can.`;
  return finding(mode === 'bubblewrap' ? 'fail' : 'warn', 'sandbox', message, sandbox.remedy);
}

async function checkAgents(config: Config): Promise<Finding[]> {
  const agents = createAgents(agentOptions(config));
  return Promise.all(
    [...agents.values()].map(async (agent) => {
      const probe = await agent.probe();
      const name = `agent ${agent.name}`;
      if (!probe.available) return finding('warn', name, probe.reason, probe.remedy);
      const { modelKey } = agent;
      if (modelKey === null || modelKey.hasDefault) return finding('ok', name, probe.version);
      const remedy = `Set ${modelKey.variable}, or a credential: slipway credential set … --model-key ${modelKey.variable}`;
      return finding('warn', name, `${probe.version}, without a key of this machine`, remedy);
    }),
  );
}
