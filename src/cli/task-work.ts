import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '../client/client.ts';
import { ApiError, ConnectionError } from '../client/errors.ts';
import {
  ClaimTaskDocument,
  CompleteTaskDocument,
  FailTaskDocument,
  HeartbeatTaskDocument,
  ReleaseTaskDocument,
} from '../client/generated.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { runTaskProgram } from './run-task.ts';
import { type ClientFlags, type Session, withSession } from './session.ts';
import { listenForStop } from './stop-signals.ts';

/** Shorter than a request may take. */
const WAIT_SECONDS = 20;
const PAUSE_MS = 1_000;
/** The last word of a task is said again for so long; its lease may hold that long. */
const SAY_FOR_MS = 60_000;
/** As in sysexits.h: the payload is at fault, and another attempt is of no use. */
const BAD_DATA = 65;
const MAX_REASON = 1_000;

export interface TaskWorkFlags extends ClientFlags {
  readonly type: readonly string[];
  readonly exec: string;
  readonly label?: readonly string[];
  readonly name?: string;
  /** One task, and no waiting for it. */
  readonly once?: boolean;
}

interface Claim {
  readonly leaseToken: string;
  readonly task: {
    readonly id: string;
    readonly type: string;
    readonly attempt: number;
    readonly leaseSeconds: number;
  };
  readonly payload: unknown;
}

/** Ctrl-C or SIGTERM lets go of the task at hand, and ends. */
export function taskWork(io: Io, flags: TaskWorkFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    using stop = listenForStop(io);
    while (!stop.first.aborted) {
      const claim = await claimNext(session, flags, stop.first);
      if (claim) await workOn(session, flags, { claim, stop: stop.first });
      else if (flags.once) {
        session.output.note('There is no such task.');
        return EXIT.done;
      }
      if (flags.once) return EXIT.done;
    }
    return EXIT.done;
  });
}

async function claimNext({ client, output }: Session, flags: TaskWorkFlags, stop: AbortSignal): Promise<Claim | null> {
  const input = {
    workerName: flags.name ?? hostname(),
    types: [...flags.type],
    labels: [...(flags.label ?? [])],
    waitSeconds: flags.once ? 0 : WAIT_SECONDS,
  };
  try {
    const answer = await Promise.race([client.request(ClaimTaskDocument, { input }), untilAborted(stop)]);
    if (!answer) return null;
    const { claim } = accepted(answer.claimTask, 'ClaimTaskPayload');
    return claim && { leaseToken: claim.leaseToken, task: claim.task, payload: claim.task.payload };
  } catch (error) {
    if (flags.once || !isPassing(error)) throw error;
    output.note(`${error.message} Trying again …`);
    await delay(PAUSE_MS, undefined, { signal: stop }).catch(() => {});
    return null;
  }
}

async function workOn(
  { io, client, output }: Session,
  flags: TaskWorkFlags,
  { claim, stop }: { readonly claim: Claim; readonly stop: AbortSignal },
): Promise<void> {
  const { task, leaseToken } = claim;
  const input = { taskId: task.id, leaseToken };
  const ending = new AbortController();
  const beating = beat(client, claim, ending);
  const { SLIPWAY_TOKEN: _token, ...environment } = { ...io.environment } as Record<string, string | undefined>;
  const end = await runTaskProgram({
    command: flags.exec,
    payload: claim.payload,
    environment: {
      ...environment,
      SLIPWAY_TASK_ID: task.id,
      SLIPWAY_TASK_TYPE: task.type,
      SLIPWAY_TASK_ATTEMPT: String(task.attempt),
    },
    signal: AbortSignal.any([ending.signal, stop]),
  });
  const wasEnded = ending.signal.aborted || stop.aborted;
  clearInterval(beating);
  const { exitCode, result, problem } = end;
  const reason = (problem || `The program ended with ${exitCode ?? 'a signal'}.`).slice(-MAX_REASON);
  const status = await say(async () => {
    if (wasEnded) return (await client.request(ReleaseTaskDocument, { input })).releaseTask;
    if (exitCode === 0)
      return (await client.request(CompleteTaskDocument, { input: { ...input, result } })).completeTask;
    const failed = { ...input, reason, retryable: exitCode !== BAD_DATA, result };
    return (await client.request(FailTaskDocument, { input: failed })).failTask;
  });
  if (output.json) output.record({ id: task.id, attempt: task.attempt, exitCode, status });
  else output.line(`${task.id}  attempt ${task.attempt}  ${status}`);
}

/** Holds the lease; ends the program when that is lost, or somebody wants the task cancelled. */
function beat(client: Client, { task, leaseToken }: Claim, ending: AbortController): NodeJS.Timeout {
  const input = { taskId: task.id, leaseToken };
  return setInterval(
    () => {
      client.request(HeartbeatTaskDocument, { input }).then(
        ({ heartbeatTask }) => {
          if (heartbeatTask.__typename !== 'HeartbeatTaskPayload' || heartbeatTask.cancelRequested) ending.abort();
        },
        // The next one may come through; without any the lease runs out, and the last word is refused.
        () => {},
      );
    },
    (task.leaseSeconds * 1_000) / 3,
  );
}

interface Said {
  readonly __typename: string;
  readonly task?: { readonly status: string };
  readonly code?: string;
}

/** Again while nobody answers: the same word gets the same answer. */
async function say(word: () => Promise<Said>): Promise<string> {
  const until = performance.now() + SAY_FOR_MS;
  for (;;) {
    try {
      const answer = await word();
      return answer.task?.status ?? answer.code ?? answer.__typename;
    } catch (error) {
      if (!isPassing(error) || performance.now() > until) throw error;
      await delay(PAUSE_MS);
    }
  }
}

function isPassing(error: unknown): error is Error {
  return error instanceof ConnectionError || (error instanceof ApiError && error.retryable);
}

function untilAborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(null), { once: true }));
}
