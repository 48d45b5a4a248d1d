import type { ExitCode } from './exit-code.ts';
import { findBuildId } from './find-build.ts';
import { followBuild } from './follow-build.ts';
import type { Io } from './io.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface BuildWatchFlags extends ClientFlags {
  readonly after?: number;
  readonly plain?: boolean;
}

export function buildWatch(io: Io, reference: string, flags: BuildWatchFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) =>
    followBuild(session, {
      buildId: await findBuildId(session, reference),
      after: flags.after ?? 0,
      plain: flags.plain ?? false,
    }),
  );
}
