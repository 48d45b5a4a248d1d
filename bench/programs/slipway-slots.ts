/** A worker of Slipway without agents, beside nobody: `slipway work`. */
import { openProduct } from '../product.ts';
import { openSlots } from '../slots.ts';

export async function main({ databaseUrl, slots }: { databaseUrl: string; slots: number }) {
  await using opened = new AsyncDisposableStack();
  const { orchestrator } = opened.use(await openProduct(databaseUrl));
  const { starts } = opened.use(await openSlots(orchestrator, slots));
  const resources = opened.move();
  return {
    startsOf: (ids: readonly string[]) => Promise.all(ids.map((id) => starts.of(id))),
    count: () => starts.count,
    close: () => resources.disposeAsync(),
  };
}
