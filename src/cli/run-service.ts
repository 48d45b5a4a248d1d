/** A service's life after its start: it works until a signal, drains, and closes. */
import type { Logger } from '../telemetry/logger.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Service } from './open-service.ts';
import { aborted, type StopSignals } from './stop-signals.ts';

export interface RunOptions {
  readonly stop: StopSignals;
  readonly drainSeconds: number;
  readonly logger: Logger;
}

/** Resolves when the service is drained; whoever opened it closes it. */
export async function runService(service: Service, { stop, drainSeconds, logger }: RunOptions): Promise<ExitCode> {
  await aborted(stop.first);
  logger.info({ drainSeconds }, 'draining: builds that run may end; a second signal puts them back at once');
  const drained = service.drain(drainSeconds * 1_000);
  await Promise.race([drained, aborted(stop.second)]);
  if (stop.second.aborted) await service.drain(0);
  await drained;
  return EXIT.done;
}
