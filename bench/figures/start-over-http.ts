/** `startBuild` over HTTP with all that is around it: token, limits, validation, idempotency, audit. */
import { type HttpServerMain, openApiData, openApiLoad } from '../api.ts';
import type { Case, Figure, Role } from '../figure.ts';

const CLIENTS = 64;
const PROJECTS = 100;
const PROMPT = 'Make the button of the login page blue, and say so in the changelog. '.repeat(6);
const OURS = 'Slipway';
const YOGA = 'Yoga, a transaction of statements';

interface ServerOptions {
  readonly name: string;
  readonly role: Role;
  readonly program: string;
  readonly argument?: object;
  readonly query: string;
}

function startBy({ name, role, program, argument, query }: ServerOptions): Case {
  return {
    name,
    role,
    async open(bench) {
      const { databaseUrl, db, authorization, projectIds } = await openApiData(bench, {
        projects: PROJECTS,
        builds: 0,
      });
      const file = new URL(`../programs/${program}.ts`, import.meta.url);
      const server = await bench.program<HttpServerMain>(file, { databaseUrl, ...argument });
      const load = await openApiLoad(bench, server, { authorization, clients: CLIENTS });
      const count = async () => {
        const { n } = await db
          .selectFrom('build_audit')
          .select(({ fn }) => fn.countAll<number>().as('n'))
          .executeTakeFirstOrThrow();
        return n;
      };
      let before = 0;
      return {
        async run({ seconds }) {
          const expected = '{"data":{"startBuild":{"deduplicated":false,"build":{"id":"build_';
          const loaded = await load.run({ seconds, query, projectIds, prompt: PROMPT, expected });
          return {
            ...loaded,
            async proof() {
              const found = (await count()) - before;
              before += found;
              return [
                { what: `answers, and good ones. ${loaded.bad}`, expected: loaded.operations, found: loaded.good },
                { what: 'builds and answers', expected: loaded.operations, found },
              ];
            },
          };
        },
        async [Symbol.asyncDispose]() {},
      };
    },
  };
}

const payload = 'deduplicated build { id number status }';
const mutation = (selection: string) =>
  `mutation ($input: StartBuildInput!) { startBuild(input: $input) { ${selection} } }`;

export const figures: readonly Figure[] = [
  {
    name: 'start-over-http',
    title: `startBuild over HTTP with every check, ${CLIENTS} clients`,
    cases: [
      startBy({
        ...{ name: OURS, role: 'ours', program: 'slipway-server' },
        query: mutation(`... on StartBuildPayload { ${payload} } ... on UserError { code message }`),
      }),
      startBy({
        ...{ name: YOGA, role: 'peer', program: 'yoga-server', argument: { serves: 'start' } },
        query: mutation(payload),
      }),
    ],
    goals: [{ metric: 'rate', of: OURS, against: YOGA, atLeast: 10, reached: 8 }],
  },
];
