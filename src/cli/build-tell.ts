import { type BuildMessageMode, SendBuildMessageDocument } from '../client/generated.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findBuildId } from './find-build.ts';
import type { Io } from './io.ts';
import { readAll } from './read-all.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface BuildTellFlags extends ClientFlags {
  readonly steer?: boolean;
  readonly interrupt?: boolean;
  readonly idempotencyKey?: string;
}

/** What the API takes, in bytes. */
const MAX_MESSAGE = 64 * 1024;

const WHEN: Readonly<Record<BuildMessageMode, string>> = {
  QUEUE: 'The agent is given it when its turn has ended.',
  STEER: 'The agent is given it between two steps, or when its turn has ended where it does not listen before.',
  INTERRUPT: 'The agent is interrupted for it.',
};

export function buildTell(io: Io, reference: string, text: string, flags: BuildTellFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { client, output } = session;
    const said = text === '-' ? await readAll(io.stdin, { what: 'message', from: 'stdin', max: MAX_MESSAGE }) : text;
    const input = {
      buildId: await findBuildId(session, reference),
      text: said,
      mode: modeOf(flags),
      idempotencyKey: flags.idempotencyKey ?? null,
    };
    const answer = await client.request(SendBuildMessageDocument, { input });
    const { buildMessage, deduplicated } = accepted(answer.sendBuildMessage, 'SendBuildMessagePayload');
    if (deduplicated) output.note('This idempotency key was used before: this is the message of that time.');
    if (output.json) output.value({ ...buildMessage, deduplicated });
    else output.line(`${buildMessage.id} is accepted. ${WHEN[buildMessage.mode]}`);
    return EXIT.done;
  });
}

function modeOf({ steer, interrupt }: BuildTellFlags): BuildMessageMode {
  if (interrupt) return 'INTERRUPT';
  return steer ? 'STEER' : 'QUEUE';
}
