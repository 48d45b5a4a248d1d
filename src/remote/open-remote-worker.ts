/** A worker that reaches only the API: its machine, without the database. */

import type { RunBuildDeps } from '../builds/running-build.ts';
import { loadTemplates } from '../projects/load-templates.ts';
import { Worker, type WorkerOptions } from '../workers/worker.ts';
import { ApiCoordinator } from './api-coordinator.ts';
import { Connection, type ConnectionOptions } from './connection.ts';

export interface RemoteWorkerOptions extends WorkerOptions {
  readonly server: ConnectionOptions;
}

type Machine = Pick<RunBuildDeps, 'config' | 'logger' | 'telemetry' | 'agents' | 'runtime'>;

/** Registers it and lets it work. The caller closes it. */
export async function openRemoteWorker(machine: Machine, options: RemoteWorkerOptions): Promise<Worker> {
  const { templatesFolder } = machine.config;
  const templates = [...(await loadTemplates()), ...(templatesFolder ? await loadTemplates(templatesFolder) : [])];
  const connection = new Connection(options.server);
  const openCoordinator = ({ id }: Worker) => new ApiCoordinator(connection, id);
  const worker = new Worker({ ...machine, templates, openCoordinator }, options);
  await worker.open();
  return worker;
}
