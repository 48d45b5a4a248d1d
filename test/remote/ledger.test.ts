import { PostgresLedger } from '../../src/builds/postgres-ledger.ts';
import { describeLedger } from '../contracts/ledger.contract.ts';
import { claimByHand, registerByHand } from '../support/claim.ts';
import { openRemoteHarness } from '../support/remote.ts';

describeLedger('beside the database', async (stack) => {
  const workerId = await registerByHand(stack);
  return {
    workerId,
    claim: () => claimByHand(stack, workerId),
    open: (build) => new PostgresLedger(stack.orchestrator, build),
    [Symbol.asyncDispose]: async () => {},
  };
});

describeLedger('over the API', openRemoteHarness);
