/** A service's life after its start: it works until a signal, or until an administrator ends its worker; drains, and closes. */
import type { Config } from '../config/config.ts';
import type { Logger } from '../telemetry/logger.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Service } from './open-service.ts';
import { aborted, type StopSignals } from './stop-signals.ts';

export interface RunOptions {
  readonly stop: StopSignals;
  readonly config: Pick<Config, 'drainSeconds' | 'keepAgents'>;
  readonly logger: Logger;
}

/** Resolves when the service is drained; whoever opened it closes it. */
export async function runService(
  service: Pick<Service, 'drain' | 'dismissed'> & Partial<Pick<Service, 'server'>>,
  { stop, config, logger }: RunOptions,
): Promise<ExitCode> {
  const dismissed = service.dismissed.then((dismissal) => {
    logger.warn({ dismissal }, 'an administrator has ended this worker');
    return dismissal;
  });
  // The API of the same process goes on without it.
  if (service.server) await aborted(stop.first);
  else await Promise.race([aborted(stop.first), dismissed]);
  if (!stop.first.aborted) return EXIT.done;
  const { drainSeconds } = config;
  // SIGTERM is how services are restarted. Who presses Ctrl-C wants nothing to go on.
  const mode = stop.first.reason === 'SIGTERM' && (config.keepAgents ?? true) ? 'leave' : 'put back';
  logger.info({ drainSeconds, mode }, 'draining: builds that run may end; a second signal puts them back at once');
  const drained = service.drain(drainSeconds * 1_000, mode);
  await Promise.race([drained, aborted(stop.second)]);
  if (stop.second.aborted) await service.drain(0);
  await drained;
  return EXIT.done;
}
