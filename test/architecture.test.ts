/** ARCHITECTURE.md's table, the sizes and the rules of CONTRIBUTING.md that no linter knows. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const MAX_FILE_LINES = 400;
const MAX_FUNCTION_LINES = 70;
/** Written reasons for what is larger. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'src/client/generated.ts': 'generated',
};

const files = filesOf('src', 'schema');

function filesOf(...folders: string[]): string[] {
  const args = ['ls-files', '--cached', '--others', '--exclude-standard', ...folders];
  return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' })
    .split('\n')
    .filter(
      (file) => file.endsWith('.ts') && !file.startsWith('src/projects/templates/') && existsSync(join(ROOT, file)),
    );
}

const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');

/** Folder (or root file) -> what it may import. */
function readTable(): Map<string, Set<string>> {
  const rows = read('ARCHITECTURE.md').matchAll(/^\| `([^`]+)` +\| [^|]+ \|([^|]*)\|$/gm);
  return new Map(
    [...rows].map(([, folder, allowed]) => {
      const names = (allowed ?? '')
        .split(',')
        .map((name) => name.trim())
        .filter(Boolean);
      return [
        folder ?? '',
        new Set(names.map((name) => (name.includes('/') || name === 'schema' ? name : `src/${name}`))),
      ];
    }),
  );
}

function roomOf(file: string): string {
  if (file.startsWith('schema/')) return 'schema';
  const [, folder] = file.split('/');
  return folder?.endsWith('.ts') ? file : `src/${folder}`;
}

function importsOf(file: string): string[] {
  return [...read(file).matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(([, path]) =>
    normalize(join(dirname(file), path ?? '')),
  );
}

test('every folder imports only what the table in ARCHITECTURE.md allows', () => {
  const table = readTable();
  expect(table.size).toBeGreaterThan(15);
  const violations = files.flatMap((file) => {
    const room = roomOf(file);
    if (room === 'src/errors.ts') return [];
    const allowed = table.get(room);
    if (!allowed) return [`${file}: ${room} is not in the table`];
    return importsOf(file)
      .filter((target) => target.startsWith('src/') || target.startsWith('schema/'))
      .map(roomOf)
      .filter((target) => target !== room && target !== 'src/errors.ts' && !allowed.has(target))
      .map((target) => `${file} imports ${target}`);
  });
  expect(violations).toEqual([]);
});

test('the table has no cycle', () => {
  const table = readTable();
  const state = new Map<string, 'open' | 'done'>();
  const visit = (room: string, path: readonly string[]) => {
    if (state.get(room) === 'done') return;
    if (state.get(room) === 'open') throw new Error(`cycle: ${[...path, room].join(' -> ')}`);
    state.set(room, 'open');
    for (const next of table.get(room) ?? []) visit(next, [...path, room]);
    state.set(room, 'done');
  };
  for (const room of table.keys()) visit(room, []);
});

test(`files have at most ${MAX_FILE_LINES} lines and functions at most ${MAX_FUNCTION_LINES}`, () => {
  const long = [...files, ...filesOf('test', 'bench')]
    .filter((file) => !(file in EXCEPTIONS))
    .map((file) => ({ file, lines: read(file).split('\n') }))
    .flatMap(({ file, lines }) => [
      ...(lines.length > MAX_FILE_LINES ? [`${file}: ${lines.length} lines`] : []),
      // What a test describes is one function.
      ...(file.startsWith('test/') ? [] : longFunctions(file, lines)),
    ]);
  expect(long).toEqual([]);
});

/** The formatter puts the end of a function on a line with the indentation of its start. */
function longFunctions(file: string, lines: readonly string[]): string[] {
  return lines.flatMap((line, start) => {
    const head =
      /^(\s*)(?:export )?(?:async )?(?:function\*? |(?:static |async |get |set |#)*[\w#]+\([^)]*\)[^;=]*\{$)/.exec(
        line,
      );
    if (!head) return [];
    const end = lines.findIndex((other, index) => index > start && other.startsWith(`${head[1]}}`));
    const length = end - start + 1;
    return length > MAX_FUNCTION_LINES ? [`${file}:${start + 1}: ${length} lines`] : [];
  });
}

test('only src/config reads the environment', () => {
  // Not our environment: they run beside an agent or a checkout, in the one that was made for them.
  const programs = [
    'src/agents/inbox.ts',
    'src/agents/opencode-server.ts',
    'src/builds/checkout-program.ts',
    'src/cli/doctor-kubernetes-inside.ts',
    'src/runtimes/inside/program.ts',
  ];
  const readers = files.filter((file) => !file.startsWith('src/config/') && /process\s*\.\s*env\b/.test(read(file)));
  expect(readers.sort()).toEqual(programs);
});

test('only schema and src/server know GraphQL', () => {
  const knowing = files.filter(
    (file) =>
      !/^(schema|src\/server|src\/client)\//.test(file) &&
      /from '(graphql|graphql-yoga|@pothos\/[^']+|graphql-ws)'/.test(read(file)),
  );
  expect(knowing).toEqual([]);
});

test('there is no dump of utilities and no file that only re-exports', () => {
  expect(files.filter((file) => /(^|\/)(utils?|helpers?|common|misc)(\.ts|\/)/.test(file))).toEqual([]);
  expect(files.filter((file) => file.endsWith('/index.ts') && file !== 'schema/index.ts')).toEqual([]);
  expect(files.filter((file) => /^export .* from '/m.test(read(file)))).toEqual([]);
});

test('migrations are numbered without a gap', () => {
  const names = execFileSync('ls', [join(ROOT, 'migrations')], { encoding: 'utf8' })
    .split('\n')
    .filter((name) => name.endsWith('.sql'));
  expect(names.map((name) => Number(name.slice(0, 4)))).toEqual(names.map((_, index) => index + 1));
});
