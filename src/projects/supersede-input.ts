/** What a new build does to the earlier ones of its group, as it is asked for. */
import { z } from 'zod';

export const supersedeInput = z.strictObject({
  /** Which builds are a group; those of one key have the same `concurrencyKey`. */
  by: z.enum(['PROJECT', 'BRANCH', 'KEY']),
  policy: z.enum(['QUEUE', 'CANCEL_IN_PROGRESS', 'SKIP_NEWEST']),
});

export type Supersede = z.output<typeof supersedeInput>;

/** Every build has its turn. Also that of builds that say nothing of it, so it never changes. */
export const QUEUE_ALL: Supersede = { by: 'PROJECT', policy: 'QUEUE' };
