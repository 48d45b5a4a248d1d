/** A worker as people name it: by id, or by its name where only one has it. */
import { ListWorkersDocument } from '../client/generated.ts';
import { CliError } from './exit-code.ts';
import type { Session } from './session.ts';

const LIVING = ['ONLINE', 'CORDONED', 'DRAINING'] as const;

/** Its id. Throws CliError; a `worker_…` is not looked up. */
export async function findWorkerId({ client }: Session, reference: string): Promise<string> {
  if (reference.startsWith('worker_')) return reference;
  const filter = { name: reference, statuses: LIVING };
  const { nodes } = (await client.request(ListWorkersDocument, { first: 2, filter })).workers;
  const [worker, second] = nodes;
  if (!worker) throw noWorker(reference);
  if (!second) return worker.id;
  const hints = ['Give its id: `slipway worker list` has them.'];
  throw new CliError(`Several workers that live are called ${reference}.`, { code: 'INVALID_INPUT', hints });
}

export function noWorker(reference: string): CliError {
  return new CliError(`There is no worker ${reference}, or it has ended.`, { code: 'NOT_FOUND' });
}
