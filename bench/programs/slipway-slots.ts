/** A worker of Slipway without agents, beside nobody: `slipway work`. */
import { openProduct } from '../product.ts';
import { openSlots } from '../slots.ts';

export async function main({ databaseUrl, slots }: { databaseUrl: string; slots: number }) {
  await using opened = new AsyncDisposableStack();
  const { orchestrator } = opened.use(await openProduct(databaseUrl));
  const { starts, ends } = opened.use(await openSlots(orchestrator, slots));
  const resources = opened.move();
  return {
    startsOf: (ids: readonly string[]) => starts.of(ids),
    endsOf: (ids: readonly string[]) => ends.of(ids),
    count: () => starts.count,
    close: () => resources.disposeAsync(),
  };
}
