import { RotateTokenDocument } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface TokenRotateFlags extends ClientFlags {
  /** Milliseconds. */
  readonly grace?: number;
}

export function tokenRotate(io: Io, id: string, { grace, ...flags }: TokenRotateFlags): Promise<ExitCode> {
  return withSession(io, flags, async ({ client, output }) => {
    const input = grace === undefined ? { id } : { id, graceSeconds: Math.round(grace / 1_000) };
    const { rotateApiToken } = await client.request(RotateTokenDocument, { input });
    const { apiToken, token } = accepted(rotateApiToken, 'RotateApiTokenPayload');
    if (output.json) {
      output.value({ ...apiToken, token });
      return EXIT.done;
    }
    const until = apiToken.previousUntil;
    output.note(`${apiToken.id} (${oneLine(apiToken.name)}) has a new secret. This is the only time that it is shown:`);
    output.line(token);
    output.note(
      until
        ? `The earlier one works until ${formatTime(until)}: put the new one wherever that is kept.`
        : 'The earlier one no longer works: put the new one wherever that is kept.',
    );
    return EXIT.done;
  });
}
