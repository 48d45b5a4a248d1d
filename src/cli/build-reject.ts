import { RejectBuildDocument } from '../client/generated.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface BuildRejectFlags extends ClientFlags {
  readonly note?: string;
}

export function buildReject(io: Io, questionId: string, flags: BuildRejectFlags): Promise<ExitCode> {
  return withSession(io, flags, async ({ client, output }) => {
    const input = { questionId, note: flags.note ?? null };
    const answer = await client.request(RejectBuildDocument, { input });
    const { question } = accepted(answer.rejectBuild, 'RejectBuildPayload');
    if (output.json) output.value(question);
    else output.line(`${questionId} is rejected.`);
    return EXIT.done;
  });
}
