/** The callback of a build or a task, sent again. */
import {
  type DeliveryRowFragment,
  RedeliverCallbackDocument,
  RedeliverTaskCallbackDocument,
} from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { CliError, EXIT, type ExitCode } from './exit-code.ts';
import { findBuildId } from './find-build.ts';
import type { Io } from './io.ts';
import type { Output } from './output.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

export function buildRedeliver(io: Io, reference: string, flags: ClientFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const input = { buildId: await findBuildId(session, reference) };
    const { redeliverCallback } = await session.client.request(RedeliverCallbackDocument, { input });
    requireCallback(redeliverCallback, reference);
    return tell(session.output, accepted(redeliverCallback, 'RedeliverCallbackPayload').delivery);
  });
}

export function taskRedeliver(io: Io, taskId: string, flags: ClientFlags): Promise<ExitCode> {
  return withSession(io, flags, async ({ client, output }) => {
    const { redeliverTaskCallback } = await client.request(RedeliverTaskCallbackDocument, { input: { taskId } });
    requireCallback(redeliverTaskCallback, taskId);
    return tell(output, accepted(redeliverTaskCallback, 'RedeliverTaskCallbackPayload').delivery);
  });
}

function requireCallback(answer: { readonly __typename: string }, reference: string): void {
  if (answer.__typename !== 'NotFoundError') return;
  const hints = ['It has one if it was given a callback URL, from its end on.'];
  throw new CliError(`There is no ${reference} with a callback.`, { code: 'NOT_FOUND', hints });
}

function tell(output: Output, delivery: DeliveryRowFragment): ExitCode {
  if (output.json) output.value(delivery);
  else output.line(`${delivery.messageId} will be sent to ${oneLine(delivery.url, 400)} again.`);
  return EXIT.done;
}
