/** H1 to H64, H135, H139 and H140: everything that comes to the API by itself. What comes another way has a file of its own. */
import { expect, it } from 'vitest';
import { testHostileInputs } from './hostile-frame.ts';
import { GRAPHQL_TABLES } from './hostile-graphql-cases.ts';
import { HTTP_TABLES } from './hostile-http-cases.ts';
import { IMAGE_TABLES, ON_KUBERNETES } from './hostile-image-cases.ts';
import { SOCKET_TABLES } from './hostile-socket-cases.ts';
import { SPEC_TABLES } from './hostile-spec-cases.ts';

/** Why a number of the list has no row anywhere. */
const NOT_YET: Readonly<Record<string, string>> = {
  H63: 'every project has a repository: one without a URL is managed, so autoPush always has somewhere to go',
  'H127-H128': 'there are no templates in YAML: they are JSON, of the operator, and checked when they are loaded',
  'H129-H133': 'Slipway does not receive webhooks of GitHub yet',
  'H137-H138': 'there are no notifiers yet',
};

const TABLES = [...HTTP_TABLES, ...GRAPHQL_TABLES, ...SOCKET_TABLES, ...SPEC_TABLES, ...IMAGE_TABLES];

testHostileInputs(TABLES, { SLIPWAY_REFUSED_PER_MINUTE: '0', ...ON_KUBERNETES });

it('has a row for every number that it is about', () => {
  const have = new Set(TABLES.flatMap(({ cases }) => cases.map(({ h }) => h)));
  const wanted = [...Array.from({ length: 64 }, (_, index) => index + 1), 135, 139, 140];
  expect(wanted.filter((h) => !have.has(h))).toEqual([63]);
  for (const [numbers, why] of Object.entries(NOT_YET)) console.log(`${numbers}: ${why}`);
});
