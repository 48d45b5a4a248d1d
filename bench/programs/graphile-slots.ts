/** A worker of graphile-worker whose jobs do nothing; it is woken by LISTEN. */
import { Logger, run } from 'graphile-worker';
import { Starts } from '../slots.ts';

export async function main({ databaseUrl, slots }: { databaseUrl: string; slots: number }) {
  const starts = new Starts();
  const runner = await run({
    connectionString: databaseUrl,
    concurrency: slots,
    maxPoolSize: slots + 2,
    noHandleSignals: true,
    logger: new Logger(() => () => {}),
    taskList: { build: async (_, { job }) => starts.add(String(job.id)) },
  });
  return {
    startsOf: (ids: readonly string[]) => Promise.all(ids.map((id) => starts.of(id))),
    count: () => starts.count,
    close: () => runner.stop(),
  };
}
