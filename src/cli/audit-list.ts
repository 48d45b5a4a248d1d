import { type AuditRowFragment, ListAuditDocument } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findProject } from './find-project.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import { type ClientFlags, type Session, withSession } from './session.ts';

export interface AuditListFlags extends ClientFlags {
  readonly actor?: string;
  readonly action?: string;
  readonly subject?: string;
  readonly project?: string;
  readonly from?: Date;
  readonly to?: Date;
  readonly limit: number;
}

const HEAD = ['WHEN', 'WHO', 'DID', 'PROJECT', 'TO', 'DETAIL'];

export function auditList(io: Io, flags: AuditListFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { client, output } = session;
    const filter = await filterOf(session, flags);
    const { auditLog } = await client.request(ListAuditDocument, { first: flags.limit, filter });
    if (output.json) output.value(auditLog.nodes);
    else if (auditLog.nodes.length > 0) output.table([HEAD, ...auditLog.nodes.map(toRow)]);
    else output.note('There are no such entries.');
    return EXIT.done;
  });
}

async function filterOf(session: Session, { actor, action, subject, project, from, to }: AuditListFlags) {
  const at = { ...(from && { from: from.toISOString() }), ...(to && { to: to.toISOString() }) };
  return {
    ...(actor ? { actor } : {}),
    ...(action ? { action } : {}),
    ...(subject ? { subjectId: subject } : {}),
    ...(project ? { projectId: (await findProject(session, project)).id } : {}),
    ...(from || to ? { at } : {}),
  };
}

function toRow({ at, actor, actorName, action, project, subjectId, detail }: AuditRowFragment): string[] {
  const hasDetail = typeof detail === 'object' && detail !== null && Object.keys(detail).length > 0;
  return [
    formatTime(at),
    oneLine(actorName ?? actor, 40),
    oneLine(action),
    oneLine(project?.slug ?? '-'),
    subjectId,
    hasDetail ? oneLine(JSON.stringify(detail), 60) : '-',
  ];
}
