/** A worker of graphile-worker whose jobs do nothing; it is woken by LISTEN. */
import { Logger, run } from 'graphile-worker';
import { Arrivals } from '../slots.ts';

export async function main({ databaseUrl, slots }: { databaseUrl: string; slots: number }) {
  const [starts, ends] = [new Arrivals(), new Arrivals()];
  const runner = await run({
    connectionString: databaseUrl,
    concurrency: slots,
    maxPoolSize: slots + 2,
    noHandleSignals: true,
    logger: new Logger(() => () => {}),
    taskList: { build: async (_, { job }) => starts.add(String(job.id)) },
  });
  runner.events.on('job:complete', ({ job }) => ends.add(String(job.id)));
  return {
    startsOf: (ids: readonly string[]) => starts.of(ids),
    endsOf: (ids: readonly string[]) => ends.of(ids),
    count: () => starts.count,
    close: () => runner.stop(),
  };
}
