import { EXIT, type ExitCode } from './exit-code.ts';
import { findBuildId } from './find-build.ts';
import type { Io } from './io.ts';
import { type ClientFlags, withSession } from './session.ts';
import { readBuild, showBuild } from './show-build.ts';

export function buildShow(io: Io, reference: string, flags: ClientFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const build = await readBuild(session, await findBuildId(session, reference));
    if (session.output.json) session.output.value(build);
    else showBuild(session.output, build);
    return EXIT.done;
  });
}
