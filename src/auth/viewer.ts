/** Who sends a request, and what they may do. */
import type { Scope } from './scope.ts';

export interface Viewer {
  /** UUID of the token. */
  readonly tokenId: string;
  /** Which of the token's secrets was shown: 1, 2, 3 …, one more with every rotation. */
  readonly secretVersion: number;
  readonly name: string;
  /** `token_…`: how the audit log and `requestedBy` write it. */
  readonly actor: string;
  readonly scopes: readonly Scope[];
  /** UUIDs; null means every project. */
  readonly projectIds: readonly string[] | null;
  /** Of the secret that was shown: its token's end, or that of the time in which a replaced secret goes on. */
  readonly expiresAt: Date | null;
}

/** The scopes that include a scope beside itself. */
const INCLUDED_IN: Readonly<Partial<Record<Scope, readonly Scope[]>>> = {
  'builds:read': ['builds:write'],
  'tasks:read': ['tasks:write'],
};

export function can(viewer: Pick<Viewer, 'scopes'>, scope: Scope): boolean {
  const enough: readonly Scope[] = ['admin', scope, ...(INCLUDED_IN[scope] ?? [])];
  return viewer.scopes.some((has) => enough.includes(has));
}

/** `projectId` is a UUID. */
export function seesProject(viewer: Pick<Viewer, 'projectIds'>, projectId: string): boolean {
  return viewer.projectIds?.includes(projectId) ?? true;
}
