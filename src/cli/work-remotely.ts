import { readFile } from 'node:fs/promises';
import { type Config, readConfig } from '../config/config.ts';
import { openAgents, openRuntime } from '../orchestrator.ts';
import { ServerRefusedError } from '../remote/connection.ts';
import { openRemoteWorker } from '../remote/open-remote-worker.ts';
import type { HealthServer } from '../server/probe-server.ts';
import type { RemoteHealthOptions } from '../server/remote-health.ts';
import { armFailpoints } from '../std/failpoint.ts';
import { createLogger } from '../telemetry/logger.ts';
import { openTelemetry } from '../telemetry/telemetry.ts';
import type { DrainMode } from '../workers/drain-mode.ts';
import { CliError, type ExitCode } from './exit-code.ts';
import { explainPort } from './explain-port.ts';
import type { Io } from './io.ts';
import { createOutput } from './output.ts';
import { requireSandbox, withoutSandbox } from './require-sandbox.ts';
import { runService } from './run-service.ts';
import { listenForStop } from './stop-signals.ts';
import { workerTokenFile } from './token-file.ts';

export interface RemoteFlags {
  readonly json?: boolean;
  readonly data?: string;
  readonly server?: string;
  readonly tokenFile?: string;
  readonly allowHttp?: boolean;
}

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** A worker that reaches only the API of a server. */
export async function workRemotely(io: Io, flags: RemoteFlags & { readonly server: string }): Promise<ExitCode> {
  const token = flags.tokenFile ? await readToken(flags.tokenFile) : await findOwnToken(io, flags);
  // As an option it is kept out of all that builds print.
  const config = readConfig(io.environment, { dataFolder: flags.data, url: flags.server, token });
  const server = { url: config.url, token: checkServer(config, flags.allowHttp ?? false) };
  const sandbox = await requireSandbox(config);
  const logger = createLogger(config.logLevel);
  armFailpoints(config.failpoints);
  using stop = listenForStop(io);
  await using opened = new AsyncDisposableStack();
  const telemetry = opened.use(await openTelemetry(config, logger));
  const runtime = await openRuntime(opened, { config, logger, sandbox, instance: noInstance });
  const machine = { config, logger, telemetry, runtime, agents: openAgents(config) };
  const { workerName: name, workerCapacity: capacity, workerLabels: labels, workerTasks: tasks } = config;
  const options = { name, capacity, labels, tasks, server };
  const worker = opened.use(await openRemoteWorker(machine, options).catch(explain));
  const draining = new AbortController();
  const health = await openHealth({
    config,
    worker,
    runtimeProblem: () => runtime.problem(),
    draining: draining.signal,
  });
  if (health) opened.use(health);
  const healthUrl = health?.url ?? null;
  const output = createOutput(io, flags);
  if (output.json) output.record({ capacity, sandbox: runtime.sandbox, server: config.url, healthUrl });
  else {
    output.line(`Working on up to ${config.workerCapacity} builds at a time for ${config.url}`);
    if (healthUrl) output.line(`Health checks are on ${healthUrl}`);
    if (sandbox.kind === 'none') output.note(withoutSandbox(sandbox));
  }
  const drain = (graceMs: number, mode?: DrainMode) => {
    draining.abort();
    return worker.drain(graceMs, mode);
  };
  return await runService({ dismissed: worker.dismissed, drain }, { stop, config, logger });
}

/** Null where no port is given. */
async function openHealth({
  config: { host, workerPort: port },
  ...rest
}: Omit<RemoteHealthOptions, 'host' | 'port'> & { readonly config: Config }): Promise<HealthServer | null> {
  if (port === undefined) return null;
  const { openRemoteHealth } = await import('../server/remote-health.ts');
  return openRemoteHealth({ ...rest, host, port }).catch((error: unknown) =>
    explainPort(error, { host, port, option: 'SLIPWAY_WORKER_PORT' }),
  );
}

/** What `slipway worker enrol` has left on this machine; SLIPWAY_TOKEN goes before it. */
async function findOwnToken(io: Io, flags: RemoteFlags): Promise<string | undefined> {
  const { token, dataFolder } = readConfig(io.environment, { dataFolder: flags.data });
  if (token !== undefined) return undefined;
  return (await readFile(workerTokenFile(dataFolder), 'utf8').catch(() => '')).trim() || undefined;
}

async function readToken(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new CliError(`The token file cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      code: 'NO_TOKEN',
      hints: [
        'Make a token with the scope work (slipway token create), and put it into a file that only you can read.',
      ],
    });
  });
  return text.trim();
}

/** Gives the token. Throws CliError without one, and when it would cross a network that others can read. */
function checkServer({ url, token }: Config, allowHttp: boolean): string {
  if (!token) {
    throw new CliError('A remote worker needs a token with the scope work.', {
      code: 'NO_TOKEN',
      hints: [
        'Get one with slipway worker enrol, or give it with --token-file FILE or SLIPWAY_TOKEN. It is never an argument: others can read those.',
      ],
    });
  }
  const { protocol, hostname } = new URL(url);
  if (protocol === 'https:' || LOOPBACK.test(hostname) || allowHttp) return token;
  throw new CliError(`${url} is not https: the token, and the secrets of builds, could be read on the way.`, {
    code: 'NOT_ENCRYPTED',
    hints: ['Use the https address of the server, or a tunnel to it.', 'Or say that you want it so: --allow-http.'],
  });
}

async function noInstance(): Promise<never> {
  throw new CliError('Away from the database a worker does not know to which installation its pods belong.', {
    code: 'NO_INSTANCE',
    hints: ['Set SLIPWAY_KUBERNETES_INSTANCE to a name of its own.'],
  });
}

function explain(error: unknown): never {
  if (!(error instanceof ServerRefusedError)) throw error;
  throw new CliError(error.message, {
    code: 'REFUSED',
    hints: ['The token needs the scope work; the server must be of this version.'],
  });
}
