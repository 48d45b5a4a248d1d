import { v7 } from 'uuid';
import type { Orchestrator } from '../../src/orchestrator.ts';
import type { Runtime } from '../../src/runtimes/runtime.ts';
import { PostgresCoordinator } from '../../src/workers/postgres-coordinator.ts';

/** What looks after workspaces of this runtime, by default the orchestrator's own. */
export function housekeeperOf(orchestrator: Orchestrator, runtime: Runtime = orchestrator.runtime) {
  const self = { id: v7(), name: 'housekeeper', place: runtime.place };
  return { runtime, logger: orchestrator.logger, coordinator: new PostgresCoordinator(orchestrator, self) };
}
