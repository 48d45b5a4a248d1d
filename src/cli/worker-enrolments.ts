/** One-time tokens of workers: listed, revoked. */
import { type EnrolmentRowFragment, ListEnrolmentsDocument, RevokeEnrolmentDocument } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface WorkerEnrolmentsFlags extends ClientFlags {
  readonly all?: boolean;
  readonly limit: number;
}

const HEAD = ['NAME', 'STATE', 'UNTIL', 'LABELS', 'PROJECTS', 'WORKER', 'ID'];

export function workerEnrolments(io: Io, flags: WorkerEnrolmentsFlags): Promise<ExitCode> {
  return withSession(io, flags, async ({ client, output }) => {
    const { limit: first, all = false } = flags;
    const { nodes } = (await client.request(ListEnrolmentsDocument, { first, onlyOpen: !all })).enrolmentTokens;
    if (output.json) output.value(nodes);
    else if (nodes.length > 0) output.table([HEAD, ...nodes.map(toRow)]);
    else output.note(all ? 'There are no enrolments.' : 'No enrolment waits for its worker. --all lists the others.');
    return EXIT.done;
  });
}

function toRow(enrolment: EnrolmentRowFragment): string[] {
  const { labels, projectIds } = enrolment;
  return [
    oneLine(enrolment.name, 40),
    enrolment.state,
    formatTime(enrolment.expiresAt),
    labels === null ? "the worker's" : oneLine(labels.join(','), 40) || '-',
    projectIds === null ? 'all' : String(projectIds.length),
    oneLine(enrolment.workerName ?? '-', 40),
    enrolment.id,
  ];
}

export function workerRevokeEnrolment(io: Io, id: string, flags: ClientFlags): Promise<ExitCode> {
  return withSession(io, flags, async ({ client, output }) => {
    const { revokeEnrolmentToken } = await client.request(RevokeEnrolmentDocument, { input: { id } });
    const { enrolmentToken } = accepted(revokeEnrolmentToken, 'RevokeEnrolmentTokenPayload');
    const { name, state, workerName, apiTokenId } = enrolmentToken;
    if (output.json) output.value(enrolmentToken);
    else if (state === 'USED') {
      output.line(`A worker has come with ${id} (${oneLine(name)}) already: ${oneLine(workerName ?? '-')}.`);
      output.note(`It works with a token of its own: slipway token revoke ${apiTokenId}`);
    } else output.line(`${id} (${oneLine(name)}) is of no use any more.`);
    return EXIT.done;
  });
}
