import { ApproveBuildDocument } from '../client/generated.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface BuildApproveFlags extends ClientFlags {
  readonly note?: string;
  readonly always?: boolean;
}

export function buildApprove(io: Io, questionId: string, flags: BuildApproveFlags): Promise<ExitCode> {
  return withSession(io, flags, async ({ client, output }) => {
    const input = { questionId, always: flags.always ?? false, note: flags.note ?? null };
    const answer = await client.request(ApproveBuildDocument, { input });
    const { question } = accepted(answer.approveBuild, 'ApproveBuildPayload');
    if (output.json) output.value(question);
    else output.line(`${questionId} is approved.`);
    return EXIT.done;
  });
}
