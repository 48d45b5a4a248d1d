import { join } from 'node:path';

/** Where `slipway up` leaves the first token, and where the client commands on this machine find it. */
export function tokenFile(dataFolder: string): string {
  return join(dataFolder, 'token');
}

/** Where `slipway worker enrol` leaves this machine's token, for `slipway work --server`. */
export function workerTokenFile(dataFolder: string): string {
  return join(dataFolder, 'worker-token');
}
