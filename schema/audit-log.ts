/** Who did what. */
import { AUDIT_SUBJECTS, type AuditFilter, type AuditRecord, auditKey, listAudit } from '../src/database/audit.ts';
import { fromPublicId, toPublicId } from '../src/std/public-id.ts';
import { DateTimeRangeInput } from './build-filter.ts';
import { builder, pageComplexity } from './builder.ts';
import { checkText } from './check-text.ts';
import type { Context } from './context.ts';
import { visibleProjectIds } from './ids.ts';
import { type CursorKind, pageRequest, toConnection } from './pagination.ts';
import { ProjectRef } from './refs.ts';

/** As `auditKey` writes it. */
const AUDIT_CURSOR: CursorKind<string> = {
  encode: (key) => key,
  decode: (cursor) => (/^\d{1,14}\.\d{1,15}$/.test(cursor) ? cursor : null),
};

const AuditEntryRef = builder.objectRef<AuditRecord>('AuditEntry').implement({
  description: 'Something that somebody did. Entries are never changed or removed.',
  fields: (t) => ({
    id: t.id({ description: 'A number that grows, not without gaps.', resolve: ({ id }) => String(id) }),
    at: t.expose('at', { type: 'DateTime', description: 'When it was done.' }),
    actor: t.exposeString('actor', {
      description: 'Who did it: `token_…`, `system`, or a command that wrote straight into the database.',
    }),
    actorName: t.string({
      nullable: true,
      description: "The token's name; null when it was no token.",
      resolve: ({ actor }, _args, { loaders }) => {
        const id = fromPublicId('token', actor);
        return id === null ? null : loaders.tokenName.load(id);
      },
    }),
    action: t.exposeString('action', { description: 'The mutation: `startBuild`.' }),
    subjectType: t.exposeString('subjectType', { description: `What it was done to: ${AUDIT_SUBJECTS.join(', ')}.` }),
    subjectId: t.id({
      description: 'Its id: `build_0199…`.',
      resolve: ({ subjectType, subjectId }) => toPublicId(subjectType, subjectId),
    }),
    project: t.field({
      type: ProjectRef,
      nullable: true,
      description: 'The project that it belongs to; null when it belongs to none.',
      resolve: ({ projectId }, _args, { loaders }) => (projectId === null ? null : loaders.project.load(projectId)),
    }),
    detail: t.field({
      type: 'JSON',
      description: 'More about it, an object. What is in it depends on the action; never a secret.',
      resolve: ({ detail }) => detail,
    }),
  }),
});

const AuditLogFilterInput = builder.inputType('AuditLogFilter', {
  description: 'Every member that is present narrows the list.',
  fields: (t) => ({
    actor: t.string({ description: 'Done by this actor: `token_…`.' }),
    action: t.string({ description: 'This mutation: `startBuild`.' }),
    subjectId: t.id({ description: 'Done to this: `build_…`, `project_…`, `token_…`.' }),
    projectId: t.id({ description: 'Belongs to this project.' }),
    at: t.field({ type: DateTimeRangeInput, description: 'Done in this range.' }),
  }),
});

builder.queryField('auditLog', (t) =>
  t.connection(
    {
      type: AuditEntryRef,
      description: 'Who did what, newest first. A token that is limited to projects sees only what belongs to them.',
      authScopes: { scope: 'admin' },
      complexity: pageComplexity,
      args: { filter: t.arg({ type: AuditLogFilterInput, description: 'Which entries.' }) },
      resolve: async (_root, args, { orchestrator: { db }, viewer }) => {
        const request = pageRequest(args, AUDIT_CURSOR, 'desc');
        const filter = toAuditFilter(viewer, args.filter ?? {});
        const rows = filter === null ? [] : await listAudit(db, filter, request.keyset);
        return toConnection(request, rows, auditKey);
      },
    },
    { name: 'AuditLogConnection', description: 'One page of the audit log.' },
    { name: 'AuditLogEdge', description: 'An entry in a list.' },
  ),
);

/** Null when there can be no such entry. Throws InvalidInputError. */
function toAuditFilter(
  viewer: Context['viewer'],
  { actor, action, subjectId, projectId, at }: typeof AuditLogFilterInput.$inferInput,
): AuditFilter | null {
  checkText(actor, ['filter', 'actor']);
  checkText(action, ['filter', 'action']);
  const subject = AUDIT_SUBJECTS.map((type) => fromPublicId(type, subjectId ?? '')).find((id) => id !== null) ?? null;
  if (typeof subjectId === 'string' && subject === null) return null;
  return {
    projectIds: visibleProjectIds(viewer, projectId),
    actor: actor ?? null,
    action: action ?? null,
    subjectId: subject,
    from: at?.from ?? null,
    to: at?.to ?? null,
  };
}
