import { CancelBuildsDocument } from '../client/generated.ts';
import { type BuildFilterFlags, narrowFilterOf } from './build-filter.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { reportBulk } from './report-bulk.ts';
import { withSession } from './session.ts';

export interface BuildCancelManyFlags extends BuildFilterFlags {
  readonly reason?: string;
  readonly dryRun?: boolean;
  readonly limit: number;
}

export function buildCancelMany(io: Io, flags: BuildCancelManyFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const filter = await narrowFilterOf(session, flags);
    const { reason = null, dryRun = false, limit } = flags;
    const answer = await session.client.request(CancelBuildsDocument, { input: { filter, reason, dryRun, limit } });
    const payload = accepted(answer.cancelBuilds, 'CancelBuildsPayload');
    reportBulk(session.output, payload, payload.dryRun ? 'would be cancelled' : 'are cancelled, or end soon');
    return EXIT.done;
  });
}
