/**
 * What a token may be good for. `admin` includes every other scope, `builds:write` includes `builds:read`, `tasks:write`
 * includes `tasks:read`. `work`: to claim tasks and builds over the API and to say how they went.
 */
export const SCOPES = [
  'builds:read',
  'builds:write',
  'projects:write',
  'tasks:read',
  'tasks:write',
  'work',
  'workers',
  'stats:read',
  'admin',
] as const;
export type Scope = (typeof SCOPES)[number];

/** In the order of SCOPES, each once, without what this version does not know: a scope that was dropped gives no rights. */
export function knownScopes(scopes: readonly string[]): Scope[] {
  return SCOPES.filter((scope) => scopes.includes(scope));
}
