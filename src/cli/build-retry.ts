import { RetryBuildDocument } from '../client/generated.ts';
import type { ExitCode } from './exit-code.ts';
import { findBuildId } from './find-build.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { reportStart } from './report-start.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface BuildRetryFlags extends ClientFlags {
  readonly resumeSession?: boolean;
  readonly idempotencyKey?: string;
  readonly watch?: boolean;
  readonly plain?: boolean;
}

export function buildRetry(io: Io, reference: string, flags: BuildRetryFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const input = {
      id: await findBuildId(session, reference),
      resumeSession: flags.resumeSession ?? false,
      idempotencyKey: flags.idempotencyKey ?? null,
    };
    const answer = await session.client.request(RetryBuildDocument, { input });
    return reportStart(session, accepted(answer.retryBuild, 'RetryBuildPayload'), flags);
  });
}
