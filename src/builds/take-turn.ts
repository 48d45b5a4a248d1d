import { sql } from 'kysely';
import type { DatabaseTransaction } from '../database/database.ts';
import { appendEvents } from '../events/append-events.ts';
import type { ClaimedBuild } from './build.ts';
import { readMessages } from './build-message.ts';
import type { PausedSession, Turn } from './checkpoint.ts';

export interface TurnEnd {
  /** The agent was stopped for a message. */
  readonly interrupted: boolean;
  /** What the agent goes on with. */
  readonly session: PausedSession;
}

/**
 * Takes the messages that the agent has not been given, for a run that begins with them: all of them after its turn, and
 * those that do not wait for that when it was interrupted. They are on the checkpoint with the session, so whoever comes
 * next goes on with both. Null when there are none: a turn that has ended was the last one then, and the phase says so
 * under the same lock under which messages are accepted.
 */
export async function writeTurn(
  trx: DatabaseTransaction,
  { id, attemptNo, phase }: Pick<ClaimedBuild, 'id' | 'attemptNo' | 'phase'>,
  { interrupted, session }: TurnEnd,
): Promise<Turn | null> {
  const pending = (await readMessages(trx, id)).filter(({ state }) => state === 'PENDING');
  const heard = interrupted ? pending.filter(({ mode }) => mode !== 'QUEUE') : pending;
  if (heard.length > 0) {
    const turn: Turn = { messageIds: heard.map((message) => message.id), as: interrupted ? 'INTERRUPT' : 'QUEUE' };
    const checkpoint = JSON.stringify({ agentOutcome: null, pausedSession: session, turn });
    await trx
      .updateTable('build_audit')
      .set({ checkpoint: sql<string>`checkpoint || ${checkpoint}::jsonb` })
      .where('id', '=', id)
      .execute();
    return turn;
  }
  if (interrupted) return null;
  await trx.updateTable('build_audit').set({ phase: 'VERIFYING' }).where('id', '=', id).execute();
  const data = { from: phase, to: 'VERIFYING' } as const;
  await appendEvents(trx, { buildId: id, attemptNo }, [{ type: 'PHASE_CHANGED', data }]);
  return null;
}
