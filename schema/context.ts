/** What one request carries; a subscription gets a fresh one for every event. */
import type { Viewer } from '../src/auth/viewer.ts';
import type { Orchestrator } from '../src/orchestrator.ts';
import { createLoaders, type Loaders } from './loaders.ts';

export interface Context {
  /** Anonymous requests never reach the schema: the server answers them with 401. */
  readonly viewer: Viewer;
  readonly orchestrator: Orchestrator;
  readonly loaders: Loaders;
}

export function createContext(orchestrator: Orchestrator, viewer: Viewer): Context {
  return { viewer, orchestrator, loaders: createLoaders(orchestrator.db, viewer) };
}
