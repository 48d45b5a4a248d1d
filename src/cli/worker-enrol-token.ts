import { CreateEnrolmentTokenDocument } from '../client/generated.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findProject } from './find-project.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface WorkerEnrolTokenFlags extends ClientFlags {
  readonly label?: readonly string[];
  readonly project?: readonly string[];
  /** Milliseconds. */
  readonly expires?: number;
}

const DEFAULT_EXPIRES_MS = 60 * 60_000;

export function workerEnrolToken(io: Io, name: string, flags: WorkerEnrolTokenFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { client, output } = session;
    const projects = flags.project && (await Promise.all(flags.project.map((slug) => findProject(session, slug))));
    const input = {
      name,
      labels: flags.label ?? null,
      projectIds: projects?.map(({ id }) => id) ?? null,
      expiresInMinutes: Math.round((flags.expires ?? DEFAULT_EXPIRES_MS) / 60_000),
    };
    const { createEnrolmentToken } = await client.request(CreateEnrolmentTokenDocument, { input });
    const { token, enrolmentToken } = accepted(createEnrolmentToken, 'CreateEnrolmentTokenPayload');
    const { id, expiresAt } = enrolmentToken;
    if (output.json) output.value({ id, expiresAt, token });
    else {
      output.note(`${id} can be used once, until ${formatTime(expiresAt)}. This is the only time that it is shown.`);
      output.note('On the other machine, with it on stdin: slipway worker enrol --server URL');
      output.line(token);
    }
    return EXIT.done;
  });
}
