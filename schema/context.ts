/** What one request carries; a subscription gets a fresh one for every event. */
import type { Viewer } from '../src/auth/viewer.ts';
import type { Orchestrator } from '../src/orchestrator.ts';
import { createLoaders, type Loaders } from './loaders.ts';
import type { RateLimit } from './rate-limit.ts';
import { ResponseBudget } from './response-budget.ts';

export interface Context {
  /** Anonymous requests never reach the schema: the server answers them with 401. */
  readonly viewer: Viewer;
  readonly orchestrator: Orchestrator;
  readonly loaders: Loaders;
  /** Null where nothing is limited. */
  readonly rateLimit: RateLimit | null;
  readonly responseBudget: ResponseBudget;
  /** Where the server that answers can be reached, without a slash at the end; null when that is not known. */
  readonly serverUrl: string | null;
  /**
   * To be called by who waits for something: the operation may take that much longer. The signal says that nobody waits any
   * more: the caller is gone, its token is lost, or the server ends.
   */
  readonly wait: (ms: number) => AbortSignal | undefined;
  /** The operation was found to be within the limits of depth and complexity: it is not measured once more. */
  readonly isMeasured: boolean;
}

export type RequestContext = Partial<
  Pick<Context, 'rateLimit' | 'responseBudget' | 'serverUrl' | 'wait' | 'isMeasured'>
>;

export function createContext(orchestrator: Orchestrator, viewer: Viewer, request: RequestContext = {}): Context {
  const { rateLimit = null, responseBudget = new ResponseBudget(), serverUrl = null, wait = () => undefined } = request;
  const { isMeasured = false } = request;
  let loaders: Loaders | null = null;
  return {
    ...{ viewer, orchestrator, rateLimit, responseBudget, serverUrl, wait, isMeasured },
    // Three dozen of them, which many requests do without.
    get loaders() {
      loaders ??= createLoaders(orchestrator.db, viewer, responseBudget);
      return loaders;
    },
  };
}
