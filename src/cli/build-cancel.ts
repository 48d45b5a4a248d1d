import { CancelBuildDocument } from '../client/generated.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findBuildId } from './find-build.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface BuildCancelFlags extends ClientFlags {
  readonly reason?: string;
}

export function buildCancel(io: Io, reference: string, flags: BuildCancelFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { client, output } = session;
    const id = await findBuildId(session, reference);
    const answer = await client.request(CancelBuildDocument, { input: { id, reason: flags.reason ?? null } });
    const { build } = accepted(answer.cancelBuild, 'CancelBuildPayload');
    if (output.json) output.value(build);
    else if (build.status === 'CANCELLED') output.line(`${id} is cancelled.`);
    else output.line(`${id} is being cancelled: it ends when all of its processes are gone.`);
    return EXIT.done;
  });
}
