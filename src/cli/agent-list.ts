import { ListAgentsDocument, type ListAgentsQuery } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { formatTable } from './format.ts';
import type { Io } from './io.ts';
import { type ClientFlags, withSession } from './session.ts';

type Agent = ListAgentsQuery['agents'][number];

const HEAD = ['AGENT', 'WORKER', 'VERSION', 'KEY', 'CAN'];
/** Kinds of unknown output that are shown of one agent; `--json` has all. */
const MAX_DRIFT = 3;

export function agentList(io: Io, flags: ClientFlags): Promise<ExitCode> {
  return withSession(io, flags, async ({ client, output }) => {
    const { agents } = await client.request(ListAgentsDocument, {});
    if (output.json) {
      output.value(agents);
      return EXIT.done;
    }
    output.line(formatTable([HEAD, ...agents.flatMap(toRows)]));
    for (const note of agents.flatMap(notesOf)) output.note(note);
    return EXIT.done;
  });
}

function toRows({ name, capabilities, workers }: Agent): string[][] {
  const { messages, ...others } = capabilities;
  const can = Object.entries(others).flatMap(([word, does]) => (does === true ? [word] : []));
  if (messages.length > 0) can.push(`messages (${messages.join(' ').toLowerCase()})`);
  const row = (worker: string, version: string, key: string) => [name, worker, version, key, can.join(', ') || '-'];
  if (workers.length === 0) return [row('none', '-', '-')];
  return workers.map(({ worker, available, version, hasKey }) =>
    row(oneLine(worker.name, 40), available ? oneLine(version ?? '-', 40) : 'not there', hasKey ? 'yes' : 'no'),
  );
}

/** What keeps it from running, and what it said that is not known. */
function notesOf({ name, workers, drift }: Agent): string[] {
  const lacks = workers.flatMap(({ worker, reason, remedy }) =>
    reason === null
      ? []
      : [`${name} on ${oneLine(worker.name, 40)}: ${oneLine(reason)} ${oneLine(remedy ?? '')}`.trimEnd()],
  );
  const seen = drift
    .slice(0, MAX_DRIFT)
    .map((kind) => `${oneLine(kind.name, 60)} (${kind.version}, ${kind.count} times)`);
  const more = drift.length > MAX_DRIFT ? ` and ${drift.length - MAX_DRIFT} more` : '';
  return seen.length === 0 ? lacks : [...lacks, `${name} says what Slipway does not know: ${seen.join(', ')}${more}.`];
}
