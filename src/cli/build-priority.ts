import { SetBuildPriorityDocument } from '../client/generated.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findBuildId } from './find-build.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

export function buildPriority(io: Io, reference: string, priority: number, flags: ClientFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const input = { id: await findBuildId(session, reference), priority };
    const { setBuildPriority } = await session.client.request(SetBuildPriorityDocument, { input });
    const { build } = accepted(setBuildPriority, 'SetBuildPriorityPayload');
    if (session.output.json) session.output.value(build);
    else session.output.line(`${build.id} has the priority ${build.priority}.`);
    return EXIT.done;
  });
}
