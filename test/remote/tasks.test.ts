import { v7 } from 'uuid';
import { ApiCoordinator } from '../../src/remote/api-coordinator.ts';
import { PostgresTaskCoordinator } from '../../src/workers/postgres-task-coordinator.ts';
import { describeTaskCoordinator } from '../contracts/task-coordinator.contract.ts';
import { registerByHand } from '../support/claim.ts';
import { openRemoteHarness } from '../support/remote.ts';

describeTaskCoordinator('beside the database', async (stack) => ({
  leaseSeconds: 0,
  hidesAll: true,
  async openWorker() {
    const workerId = await registerByHand(stack);
    const taker = { workerId, workerName: 'by hand', projectIds: null, leaseSeconds: 0, elsewhere: false };
    return { id: workerId, tasks: new PostgresTaskCoordinator(stack.orchestrator, taker) };
  },
  [Symbol.asyncDispose]: async () => {},
}));

describeTaskCoordinator('over the API', async (stack) => {
  await using opened = new AsyncDisposableStack();
  const { connection } = opened.use(await openRemoteHarness(stack));
  const resources = opened.move();
  return {
    leaseSeconds: stack.orchestrator.config.remoteLeaseSeconds,
    hidesAll: false,
    async openWorker(labels = []) {
      const id = v7();
      const coordinator = new ApiCoordinator(connection, id);
      await coordinator.register({ id, name: 'far', place: 'x', version: '1', capacity: 9, agents: [], labels }, 0);
      // Hints come by one question for all.
      resources.defer(coordinator.onWork(() => {}));
      return { id, tasks: coordinator.tasks };
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
});
