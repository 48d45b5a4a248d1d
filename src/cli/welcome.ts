/** What a newcomer sees first: where everything is, and a build that is ready to paste. */
import type { Config } from '../config/config.ts';
import type { Sandbox } from '../runtimes/sandbox.ts';
import type { Output } from './output.ts';
import { tokenFile } from './token-file.ts';

export interface Welcome {
  /** Of the API. */
  readonly url: string;
  /** Null when there was one already. */
  readonly token: string | null;
  readonly config: Pick<Config, 'dataFolder' | 'graphiql'>;
  readonly sandbox: Pick<Sandbox, 'kind'>;
}

const MUTATION = `mutation {
  createAndBuild(input: {
    project: { name: "Hello" }
    spec: { prompt: "Write a page about boats.", provider: "scripted" }
  }) {
    __typename
    ... on CreateAndBuildPayload { build { id status } }
    ... on UserError { code message }
  }
}`;

export function welcome(output: Output, { url, token, config, sandbox }: Welcome): void {
  const bold = (text: string) => output.style('bold', text);
  output.line(`${bold('Slipway is up.')} Ctrl-C ends it.\n`);
  output.line(`  API       ${url}`);
  output.line(`  GraphiQL  ${config.graphiql ? url : 'off (SLIPWAY_GRAPHIQL)'}`);
  output.line(`  Data      ${config.dataFolder}`);
  if (token) {
    output.line(`  Token     ${bold(token)}`);
    output.line(`            Shown once; the commands on this machine find it in ${tokenFile(config.dataFolder)}`);
  } else {
    output.line(`  Token     shown at the first start; kept in ${tokenFile(config.dataFolder)} unless you removed it`);
  }
  if (sandbox.kind === 'bubblewrap') output.line('\nBuilds run in a bubblewrap sandbox on this machine.');
  else output.line('\nBuilds run as your user on this machine: the local runtime is no sandbox.');
  if (!token) return;
  output.line(`\n${bold('A first build')}, in GraphiQL with the header {"Authorization": "Bearer ${token}"}:\n`);
  output.line(MUTATION);
  output.line(`\n${bold('The same with curl:')}\n`);
  output.line(curl(url, token));
  output.line(`\n${bold('Then watch it:')} npm run slipway -- build watch hello#1\n`);
}

/** The document has no single quote in it. */
function curl(url: string, token: string): string {
  const body = JSON.stringify({ query: MUTATION.replace(/\s+/g, ' ') });
  return `curl ${url} -H 'content-type: application/json' -H 'authorization: Bearer ${token}' -d '${body}'`;
}
