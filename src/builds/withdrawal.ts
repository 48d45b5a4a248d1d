import type { Build } from './build.ts';
import { mayAsk } from './build-spec.ts';
import type { LedgerChanges } from './ledger-store.ts';

/** For the write with which a run of the agent has ended, or another one begins: nobody waits for an answer any more. */
export function withdrawal({ spec }: Pick<Build, 'spec'>): Pick<LedgerChanges, 'talk'> {
  return mayAsk(spec) ? { talk: { withdrawn: 'all' } } : {};
}
