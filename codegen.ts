/**
 * Writes what is made from something else, so that it can be read and reviewed like the rest:
 * `schema/schema.graphql` from the schema, `src/client/generated.ts` from the client's operations, and the README's tables
 * of options, agents and failures. With `--check` it writes nothing, names what is stale, and exits with 1.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { codegen } from '@graphql-codegen/core';
import * as typedDocumentNode from '@graphql-codegen/typed-document-node';
import * as typescriptOperations from '@graphql-codegen/typescript-operations';
import { buildSchema, lexicographicSortSchema, parse, printSchema } from 'graphql';
import { schema } from './schema/index.ts';
import { createAgents } from './src/agents/agents.ts';
import { FAILURES } from './src/builds/build-result.ts';
import { agentOptions } from './src/config/agent-options.ts';
import { readConfig } from './src/config/config.ts';
import type { Option } from './src/config/option.ts';
import { OPTIONS } from './src/config/options.ts';

interface Generated {
  /** Relative to this file. */
  readonly path: string;
  readonly content: string;
}

const HEADER = '// Written by codegen.ts from operations.graphql: change that, then `npm run codegen`.\n';

function printApi(): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`;
}

async function generate(): Promise<Generated[]> {
  const api = printApi();
  const generated: Generated[] = [{ path: 'schema/schema.graphql', content: api }];
  const operations = await readIfThere('src/client/operations.graphql');
  if (operations !== null) {
    generated.push({ path: 'src/client/generated.ts', content: await generateClient(api, operations) });
  }
  const readme = await readFile(locate('README.md'), 'utf8');
  const tables = [optionsTable(), agentsTable(), failuresTable()];
  generated.push({ path: 'README.md', content: tables.reduce(withTable, readme) });
  return generated;
}

async function generateClient(api: string, operations: string): Promise<string> {
  const scalars = { DateTime: 'string', ID: 'string', JSON: 'unknown', SafeInt: 'number' };
  const config = { scalars, useTypeImports: true, enumsAsTypes: true, immutableTypes: true, skipTypename: false };
  const content = await codegen({
    filename: 'src/client/generated.ts',
    schema: parse(api),
    schemaAst: buildSchema(api),
    documents: [{ location: 'src/client/operations.graphql', document: parse(operations) }],
    config,
    plugins: [{ typescriptOperations: {} }, { typedDocumentNode: { documentMode: 'string' } }],
    pluginMap: { typescriptOperations, typedDocumentNode },
  });
  return HEADER + content;
}

interface Table {
  /** It stands between `<!-- name -->` and `<!-- /name -->`. */
  readonly name: string;
  readonly rows: readonly (readonly string[])[];
}

function optionsTable(): Table {
  const rows = (Object.values(OPTIONS) as Option<unknown>[]).map(({ env, default: value, help }) => [
    `\`${env}\``,
    value,
    help,
  ]);
  return { name: 'options', rows: [['variable', 'default', 'meaning'], ...rows] };
}

function agentsTable(): Table {
  const acp = { SLIPWAY_ACP_AGENTS: '{"name":["name"]}' };
  const agents = createAgents(agentOptions(readConfig(acp)));
  const yes = (can: boolean) => (can ? 'yes' : 'no');
  const rows = [...agents.values()].map(({ name, capabilities }) => [
    `\`${name.replace(':name', ':NAME')}\``,
    yes(capabilities.resume),
    yes(capabilities.cost),
    yes(capabilities.models),
    capabilities.messages.join(', '),
    yes(capabilities.questions),
    yes(capabilities.permissions),
  ]);
  const head = ['provider', 'goes on with a session', 'tells its cost', 'model can be chosen', 'messages'];
  return { name: 'agents', rows: [[...head, 'asks questions', 'asks before it uses tools'], ...rows] };
}

function failuresTable(): Table {
  const rows = Object.entries(FAILURES).map(([reason, { retryable, remedy }]) => [
    `\`${reason}\``,
    retryable ? 'yes' : 'no',
    remedy,
  ]);
  return { name: 'failures', rows: [['reason', 'worth a retry', 'what to do'], ...rows] };
}

function withTable(readme: string, { name, rows: [head = [], ...rows] }: Table): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [before, rest] = readme.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`README.md has no ${begin} with ${end} after it.`);
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map(cell).join(' | ')} |`);
  return `${before}${begin}\n\n${lines.join('\n')}\n\n${end}${after}`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function locate(path: string): URL {
  return new URL(path, import.meta.url);
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(locate(path), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

const check = process.argv.includes('--check');
for (const { path, content } of await generate()) {
  if ((await readIfThere(path)) === content) continue;
  if (check) {
    process.stderr.write(`${path} is stale: npm run codegen\n`);
    process.exitCode = 1;
  } else {
    await writeFile(locate(path), content);
    process.stdout.write(`${path} written\n`);
  }
}
