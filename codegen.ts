/**
 * Writes what is made from something else, so that it can be read and reviewed like the rest:
 * `schema/schema.graphql` from the schema, `src/client/generated.ts` from the client's operations, and the README's table
 * of options. With `--check` it writes nothing, names what is stale, and exits with 1.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { codegen } from '@graphql-codegen/core';
import * as typedDocumentNode from '@graphql-codegen/typed-document-node';
import * as typescriptOperations from '@graphql-codegen/typescript-operations';
import { buildSchema, lexicographicSortSchema, parse, printSchema } from 'graphql';
import { schema } from './schema/index.ts';
import { OPTIONS, type Option } from './src/config/options.ts';

interface Generated {
  /** Relative to this file. */
  readonly path: string;
  readonly content: string;
}

const HEADER = '// Written by codegen.ts from operations.graphql: change that, then `npm run codegen`.\n';
const OPTIONS_BEGIN = '<!-- options -->';
const OPTIONS_END = '<!-- /options -->';

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
  const readme = await readIfThere('README.md');
  if (readme?.includes(OPTIONS_BEGIN)) generated.push({ path: 'README.md', content: withOptions(readme) });
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

function withOptions(readme: string): string {
  const start = readme.indexOf(OPTIONS_BEGIN) + OPTIONS_BEGIN.length;
  const end = readme.indexOf(OPTIONS_END, start);
  if (end === -1) throw new Error(`README.md has ${OPTIONS_BEGIN} and no ${OPTIONS_END} after it.`);
  const rows = (Object.values(OPTIONS) as Option<unknown>[]).map(
    ({ env, default: value, help }) => `| \`${env}\` | ${cell(value)} | ${cell(help)} |`,
  );
  const table = ['| variable | default | meaning |', '| --- | --- | --- |', ...rows].join('\n');
  return `${readme.slice(0, start)}\n\n${table}\n\n${readme.slice(end)}`;
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
