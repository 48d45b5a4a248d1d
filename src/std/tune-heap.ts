/** What V8 is told, once, by each of our long-lived programs. */
import { setFlagsFromString } from 'node:v8';

/**
 * Where many objects survived a collection, V8 allocates the next ones among the old from then on. Lines of a large batch
 * do, and old lines, dead or not, keep their texts until the whole heap is collected: a worker whose agent floods would
 * hold hundreds of megabytes of garbage, the more the busier the machine is.
 */
export function letBatchesDieYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring');
}
