/** The Pothos builder: plugins, scalars, limits. It defines no types. */
import SchemaBuilder from '@pothos/core';
import ComplexityPlugin from '@pothos/plugin-complexity';
import ErrorsPlugin from '@pothos/plugin-errors';
import RelayPlugin from '@pothos/plugin-relay';
import ScopeAuthPlugin, { type AuthFailure } from '@pothos/plugin-scope-auth';
import { GraphQLError } from 'graphql';
import { GraphQLDateTimeISO, GraphQLJSON, GraphQLSafeInt } from 'graphql-scalars';
import type { Scope } from '../src/auth/scope.ts';
import { can } from '../src/auth/viewer.ts';
import { ForbiddenError } from '../src/errors.ts';
import { toPublicId } from '../src/std/public-id.ts';
import type { Context } from './context.ts';
import { exposeErrorsPlugin } from './expose-errors.ts';
import { DEFAULT_PAGE, MAX_COMPLEXITY, MAX_DEPTH, MAX_PAGE } from './limits.ts';
import { NODE_IDS, nodeIdsPlugin } from './node-ids.ts';

export interface SchemaTypes {
  Context: Context;
  AuthScopes: { scope: Scope; allProjects: boolean };
  DefaultFieldNullability: false;
  DefaultEdgesNullability: { list: false; items: false };
  DefaultNodeNullability: false;
  Scalars: {
    ID: { Input: string; Output: string };
    DateTime: { Input: Date; Output: Date };
    JSON: { Input: unknown; Output: unknown };
    SafeInt: { Input: number; Output: number };
  };
}

/** The points of a page: every item costs what is selected of it. */
export function pageComplexity(args: { first?: number | null | undefined; last?: number | null | undefined }) {
  return { field: 1, multiplier: Math.min(args.first ?? args.last ?? DEFAULT_PAGE, MAX_PAGE) };
}

/** A list that is part of a row that was read anyway. */
export const EMBEDDED_LIST = { field: 1, multiplier: 1 };

// The page's multiplier is on the connection; without this it would be counted again for the list inside it.
const inPage = { complexity: { field: 0, multiplier: 1 } };

export const builder = new SchemaBuilder<SchemaTypes>({
  // The last is next to the resolver.
  plugins: [exposeErrorsPlugin, ComplexityPlugin, ErrorsPlugin, ScopeAuthPlugin, RelayPlugin, nodeIdsPlugin],
  defaultFieldNullability: false,
  complexity: {
    limit: ({ isMeasured }) => (isMeasured ? {} : { depth: MAX_DEPTH, complexity: MAX_COMPLEXITY }),
    complexityError: (kind, found) => {
      const tooDeep = kind === 'Depth';
      const [is, limit] = tooDeep ? [found.depth, MAX_DEPTH] : [found.complexity, MAX_COMPLEXITY];
      const code = tooDeep ? 'QUERY_TOO_DEEP' : 'QUERY_TOO_COMPLEX';
      return new GraphQLError(`The operation's ${kind.toLowerCase()} is ${is}, the limit is ${limit}.`, {
        extensions: { code, [tooDeep ? 'depth' : 'complexity']: is, limit },
      });
    },
  },
  errors: {
    directResult: true,
    defaultUnionOptions: {
      name: ({ fieldName }) => `${fieldName.charAt(0).toUpperCase()}${fieldName.slice(1)}Result`,
      description: 'What was done, or why it was refused: every member but the payload implements UserError.',
    },
  },
  scopeAuth: {
    authorizeOnSubscribe: true,
    authScopes: ({ viewer }) => ({
      scope: (scope) => can(viewer, scope),
      // Making projects and tokens reaches beyond the projects that a token is limited to.
      allProjects: viewer.projectIds === null,
    }),
    unauthorizedError: (_parent, _context, _info, result) => new ForbiddenError(missingScope(result.failure)),
  },
  relay: {
    cursorType: 'String',
    encodeGlobalID: (typename, id) => toPublicId(NODE_IDS[typename as keyof typeof NODE_IDS], String(id)),
    nodeQueryOptions: false,
    nodesQueryOptions: false,
    idFieldOptions: { description: 'The type and a UUID: `build_0199…`. Ids sort by creation time.' },
    nodeTypeOptions: { description: 'Whatever has an id.' },
    pageInfoTypeOptions: { description: 'Where a page lies in its list.' },
    hasNextPageFieldOptions: { description: 'There is more after this page.' },
    hasPreviousPageFieldOptions: { description: 'There is more before this page.' },
    startCursorFieldOptions: { description: 'Cursor of the first item; null on an empty page.' },
    endCursorFieldOptions: { description: 'Cursor of the last item; null on an empty page.' },
    cursorFieldOptions: { description: 'Where this item is in the list, for `after` and `before`.' },
    edgesFieldOptions: {
      description: 'The items of this page with their cursors.',
      nullable: { list: false, items: false },
      ...inPage,
    },
    nodeFieldOptions: { description: 'The item.', nullable: false },
    nodesOnConnection: { description: 'The items of this page.', ...inPage },
    pageInfoFieldOptions: { description: 'Where this page lies in the list.' },
    firstArgOptions: {
      description: `Items from the beginning, at most ${MAX_PAGE}; ${DEFAULT_PAGE} when neither this nor \`last\` is given.`,
    },
    lastArgOptions: { description: `Items from the end, at most ${MAX_PAGE}. Not together with \`first\`.` },
    afterArgOptions: { description: 'Only what follows this cursor.' },
    beforeArgOptions: { description: 'Only what goes before this cursor.' },
    defaultEdgeTypeOptions: { description: 'An item of a list with its cursor.' },
    defaultConnectionTypeOptions: { description: 'One page of a list.' },
  },
});

builder.queryType({
  description: 'Reading. Every field needs a token with a scope; a token may be limited to projects.',
});
builder.mutationType({
  description: 'Changing. Each mutation takes one input and gives a union: its payload, or an error to act on.',
});
builder.subscriptionType({
  description:
    'Following. Each replays what was stored after a cursor and then goes on live, without gap or repetition.',
});

builder.addScalarType('DateTime', GraphQLDateTimeISO, {
  description: 'A moment in RFC 3339, always in UTC when it is read: `2026-11-20T23:39:00.000Z`.',
});
builder.addScalarType('JSON', GraphQLJSON, { description: 'Any JSON value.' });
builder.addScalarType('SafeInt', GraphQLSafeInt, {
  description: 'A whole number of up to 53 bits: what does not fit Int and is exact in JSON.',
});

/** The first scope that is missing; `all projects` stands for a token without limits. */
function missingScope(failure: AuthFailure): string {
  if ('failures' in failure) return failure.failures[0] ? missingScope(failure.failures[0]) : 'admin';
  if ('parameter' in failure) return failure.scope === 'scope' ? String(failure.parameter) : 'all projects';
  return 'admin';
}
