/** The raw output of a build. */
import { type NumberedLine, readLog } from '../src/builds/build-log.ts';
import type { LogBatch } from '../src/builds/follow-log.ts';
import type { Database } from '../src/database/database.ts';
import type { Keyset } from '../src/database/keyset.ts';
import { builder } from './builder.ts';
import { DEFAULT_PAGE, LOG_COMPLEXITY } from './limits.ts';
import { NUMBER_CURSOR, pageRequest, toConnection } from './pagination.ts';
import { BuildRef } from './refs.ts';

/** Chunks of one read: every chunk has a line at least. */
const CHUNKS = 8;

const LogStreamEnum = builder.enumType('LogStream', {
  description: 'Where a line comes from.',
  values: {
    STDOUT: { value: 'stdout' as const, description: "The agent's output." },
    STDERR: { value: 'stderr' as const, description: "The agent's error output." },
    SYSTEM: { value: 'system' as const, description: 'Slipway itself.' },
  },
});

const LogLineRef = builder.objectRef<NumberedLine>('LogLine').implement({
  description: 'One line of output, without its line end.',
  fields: (t) => ({
    number: t.exposeInt('number', { description: '1, 2, 3 … per build, without gaps.' }),
    at: t.expose('at', { type: 'DateTime', description: 'When it was stored.' }),
    stream: t.field({ type: LogStreamEnum, description: 'Where it comes from.', resolve: ({ stream }) => stream }),
    text: t.exposeString('text', { description: 'The text, colours and all; secrets are blacked out.' }),
  }),
});

export const LogBatchRef = builder.objectRef<LogBatch>('LogBatch').implement({
  description: 'Some lines of a log.',
  fields: (t) => ({
    cursor: t.string({
      description: 'For `after` of buildLog and of Build.log.',
      resolve: ({ cursor }) => String(cursor),
    }),
    lines: t.field({
      type: [LogLineRef],
      description: 'In order; none in the last batch when there was nothing left.',
      complexity: { field: 1, multiplier: 1 },
      resolve: ({ lines }) => [...lines],
    }),
    finished: t.exposeBoolean('finished', { description: 'The build is finished, and nothing follows.' }),
  }),
});

builder.objectField(BuildRef, 'log', (t) =>
  t.connection(
    {
      type: LogLineRef,
      description: 'What was printed. The cursors are those of buildLog: line numbers.',
      complexity: ({ first, last }) => ({ field: LOG_COMPLEXITY, multiplier: first ?? last ?? DEFAULT_PAGE }),
      resolve: async ({ id, lastLine }, args, { orchestrator: { db }, responseBudget }) => {
        const request = pageRequest(args, NUMBER_CURSOR, 'asc');
        const lines = await readLines(db, { buildId: id, lastLine }, request.keyset);
        responseBudget.spend(lines.reduce((bytes, { text }) => bytes + Buffer.byteLength(text), 0));
        return { ...toConnection(request, lines, (line) => line.number), totalCount: lastLine };
      },
    },
    {
      name: 'LogLineConnection',
      description: 'One page of a log.',
      fields: (c) => ({
        totalCount: c.int({
          description: 'All lines of the log so far.',
          resolve: (connection) => connection.totalCount,
        }),
      }),
    },
    { name: 'LogLineEdge', description: 'A line in a list.' },
  ),
);

/** Lines have no gaps, so the end of a list can be reached by counting. */
async function readLines(
  db: Database,
  { buildId, lastLine }: { readonly buildId: string; readonly lastLine: number },
  { after, before, limit, fromEnd }: Keyset,
): Promise<NumberedLine[]> {
  const end = Math.min(Number(before ?? lastLine + 1), lastLine + 1);
  const start = fromEnd ? Math.max(Number(after ?? 0), end - 1 - limit) : Number(after ?? 0);
  const lines: NumberedLine[] = [];
  for (let cursor = start; cursor < end - 1 && lines.length < limit; ) {
    const chunks = await readLog(db, { buildId, after: cursor, limit: CHUNKS });
    if (chunks.length === 0) break;
    for (const line of chunks.flatMap((chunk) => chunk.lines)) {
      if (line.number < end && lines.length < limit) lines.push(line);
      cursor = line.number;
    }
  }
  return lines;
}
