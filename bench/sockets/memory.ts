import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

interface Memory extends NodeJS.MemoryUsage {
  /** Resident before anything was collected. */
  readonly uncollected: number;
}

/**
 * The memory that this process holds: after a full collection that gives free pages back. An ordinary one leaves V8's pages half
 * empty, which says how much was thrown away before and not what is kept; `uncollected` says that.
 */
export function collected(): Memory {
  const uncollected = process.memoryUsage.rss();
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')({ type: 'major', flavor: 'last-resort' });
  return { ...process.memoryUsage(), uncollected };
}
