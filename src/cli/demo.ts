/** Everything once, for a newcomer: from an empty folder to a pushed commit and a verified callback. */
import { chmod, mkdtemp, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '../client/client.ts';
import { readConfig } from '../config/config.ts';
import { openEmbeddedPostgres } from '../database/embedded-postgres.ts';
import { managedRepositoryPath } from '../projects/repository.ts';
import { fromPublicId } from '../std/public-id.ts';
import { removeFolders } from '../std/remove-folders.ts';
import { createLogger } from '../telemetry/logger.ts';
import { type DemoReport, runDemoBuild } from './demo-build.ts';
import { checkCallback, checkCommit } from './demo-checks.ts';
import { openCallbackReceiver } from './demo-receiver.ts';
import { CliError, EXIT, type ExitCode } from './exit-code.ts';
import { makeFirstToken } from './first-token.ts';
import { formatDuration } from './format.ts';
import type { Io } from './io.ts';
import { migrateDatabase } from './migrate-database.ts';
import { openService } from './open-service.ts';
import { createOutput, type Output } from './output.ts';
import { listenForStop } from './stop-signals.ts';

/** Of the whole demo; it takes a few seconds. */
const LIMIT_MS = 120_000;

export interface DemoFlags {
  readonly json?: boolean;
  readonly plain?: boolean;
}

export async function demo(io: Io, flags: DemoFlags): Promise<ExitCode> {
  const output = createOutput(io, flags);
  using stop = listenForStop(io);
  const signal = AbortSignal.any([stop.first, AbortSignal.timeout(LIMIT_MS)]);
  const report = await runDemo(io, { output, signal, plain: flags.plain ?? false });
  if (output.json) output.value(report);
  else print(output, report);
  return EXIT.done;
}

interface Demo {
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly plain: boolean;
}

/** Throws CliError with what is not as it should be. */
async function runDemo(io: Io, { output, signal, plain }: Demo): Promise<DemoReport> {
  const logger = createLogger('warn');
  await using opened = new AsyncDisposableStack();
  const folder = await openTemporaryFolder(opened);
  // Nothing of the user's own configuration: the demo is the same everywhere.
  const config = readConfig({
    SLIPWAY_DATA: folder,
    SLIPWAY_PORT: '0',
    SLIPWAY_CALLBACK_ALLOW_PRIVATE: 'true',
    SLIPWAY_DEFAULT_PROVIDER: 'scripted',
  });
  output.note(`Starting Postgres, the API, a worker and a receiver of callbacks in ${folder}`);
  const postgres = opened.use(await openEmbeddedPostgres({ folder: join(folder, 'postgres'), durable: false, logger }));
  await migrateDatabase(postgres.url, logger);
  const databaseUrl = postgres.url;
  const service = opened.use(await openService({ config, logger, databaseUrl, api: true, work: true }));
  const token = await makeFirstToken(service.orchestrator.db, { dataFolder: folder, anew: true });
  const receiver = opened.use(await openCallbackReceiver());
  const client = opened.use(createClient({ url: `${service.server?.url}/graphql`, token }));
  signal.throwIfAborted();

  const run = await runDemoBuild({ io, client, output, signal, plain, callbackUrl: receiver.url });
  const projectId = fromPublicId('project', run.project.id) ?? '';
  const commit = await checkCommit(managedRepositoryPath(config, projectId), run.build);
  const callback = checkCallback(await receiver.received(signal), run);
  return {
    buildId: run.build.id,
    status: run.build.status,
    commitSha: commit.sha,
    commitSubject: commit.subject,
    filesChanged: commit.files,
    events: run.events,
    callback,
    seconds: Number((performance.now() / 1_000).toFixed(1)),
  };
}

/** As root, Postgres may get a folder of its own elsewhere: it goes, too. */
async function openTemporaryFolder(opened: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-demo-'));
  opened.defer(async () => {
    const postgres = await realpath(join(folder, 'postgres')).catch(() => folder);
    await removeFolders([postgres, folder]);
  });
  // The user that Postgres runs as must be able to pass through.
  await chmod(folder, 0o711);
  return folder;
}

function print(output: Output, report: DemoReport): void {
  if (report.status !== 'COMPLETED') throw new CliError(`The build ended as ${report.status}.`);
  const tick = output.style('green', '✔');
  output.line('');
  output.line(`${tick} Commit    ${report.commitSha} is on the repository: ${report.commitSubject}`);
  output.line(`${tick} Files     ${report.filesChanged.join(', ')}`);
  output.line(`${tick} Events    1 to ${report.events}, without a gap, over WebSocket`);
  output.line(`${tick} Callback  ${report.callback.deliveryId}: signature verified, payload equals the result`);
  output.line(`${tick} Time      ${formatDuration(report.seconds * 1_000)} from the command to the last check`);
  output.line('\nWhat to try next:');
  output.line('  npm start                                   the service, with GraphiQL and a first token');
  output.line('  npm run slipway -- doctor                   what this machine has and lacks, agents included');
  output.line('  npm run slipway -- project create Boats     a project with a repository of its own');
  output.line(
    '  npm run slipway -- build start --project boats --provider scripted --watch "Write a page about boats."',
  );
  output.line('  npm run slipway -- help                     everything else');
}
