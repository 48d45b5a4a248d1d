import { RetryBuildsDocument } from '../client/generated.ts';
import { type BuildFilterFlags, narrowFilterOf } from './build-filter.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { reportBulk } from './report-bulk.ts';
import { withSession } from './session.ts';

export interface BuildRetryManyFlags extends BuildFilterFlags {
  readonly resumeSession?: boolean;
  readonly dryRun?: boolean;
  readonly limit: number;
}

export function buildRetryMany(io: Io, flags: BuildRetryManyFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const filter = await narrowFilterOf(session, flags);
    const { resumeSession = false, dryRun = false, limit } = flags;
    const input = { filter, resumeSession, dryRun, limit };
    const { retryBuilds } = await session.client.request(RetryBuildsDocument, { input });
    const payload = accepted(retryBuilds, 'RetryBuildsPayload');
    reportBulk(session.output, payload, payload.dryRun ? 'would be started again' : 'are started again');
    return EXIT.done;
  });
}
