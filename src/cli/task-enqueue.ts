import { EnqueueTaskDocument } from '../client/generated.ts';
import { CliError, EXIT, type ExitCode } from './exit-code.ts';
import { findProject } from './find-project.ts';
import type { Io } from './io.ts';
import type { Pair } from './parse-option.ts';
import { readAll } from './read-all.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

const MAX_PAYLOAD = 256 * 1024;

export interface TaskEnqueueFlags extends ClientFlags {
  readonly project: string;
  readonly payload: string;
  readonly priority?: number;
  readonly label?: readonly Pair[];
  readonly runsOn?: readonly string[];
  readonly concurrencyKey?: string;
  readonly runAfter?: Date;
  readonly callbackUrl?: string;
  readonly maxAttempts?: number;
  readonly leaseSeconds?: number;
  readonly idempotencyKey?: string;
}

export function taskEnqueue(io: Io, type: string, flags: TaskEnqueueFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { client, output } = session;
    const limit = { what: 'payload', max: MAX_PAYLOAD, from: 'stdin' };
    const text = flags.payload === '-' ? await readAll(io.stdin, limit) : flags.payload;
    const { id: projectId } = await findProject(session, flags.project);
    const answer = await client.request(EnqueueTaskDocument, {
      input: {
        projectId,
        type,
        payload: parseJson(text, 'payload'),
        priority: flags.priority ?? null,
        labels: flags.label?.map(({ name, value }) => ({ key: name, value })) ?? null,
        runsOn: flags.runsOn ? [...flags.runsOn] : null,
        concurrencyKey: flags.concurrencyKey ?? null,
        runAfter: flags.runAfter?.toISOString() ?? null,
        callbackUrl: flags.callbackUrl ?? null,
        retry: flags.maxAttempts === undefined ? null : { maxAttempts: flags.maxAttempts },
        leaseSeconds: flags.leaseSeconds ?? null,
        idempotencyKey: flags.idempotencyKey ?? null,
      },
    });
    const { task } = accepted(answer.enqueueTask, 'EnqueueTaskPayload');
    if (output.json) output.value(task);
    else output.line(task.id);
    return EXIT.done;
  });
}

/** Throws CliError. */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new CliError(`The ${what} is not JSON.`, {
      code: 'INVALID_INPUT',
      hints: [`Text is JSON in quotes: '"text"'.`],
    });
  }
}
