/**
 * Who asks for statistics has connections of his own, on which a statement is short: it takes none from builds, and holds no
 * snapshot for so long that the queue becomes slow.
 */
import type { DatabaseLimits } from '../database/session-settings.ts';
import { OverloadedError, TooSlowError } from '../errors.ts';

export const ANALYSTS_POOL = 2;

export const ANALYST_LIMITS: DatabaseLimits = {
  statementMs: 5_000,
  lockMs: 2_000,
  transactionMs: 10_000,
  answerMs: 7_000,
};

const RETRY_AFTER_SECONDS = 1;
/** Of the server: a statement or a wait for a lock that took too long. */
const CUT = new Set(['57014', '55P03']);

/** Throws TooSlowError when it was cut, OverloadedError when all connections were in use for too long. */
export async function asAnalyst<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string };
    if (CUT.has(code ?? '')) {
      throw new TooSlowError(
        'These statistics took too long and were given up. Name a project, a shorter range of time or fewer points; ' +
          'labels make them slow, as their builds are counted one by one.',
      );
    }
    if (message?.includes('timeout exceeded when trying to connect')) {
      throw new OverloadedError(
        'Too many statistics are asked for at the same time. Try again later.',
        RETRY_AFTER_SECONDS,
      );
    }
    throw error;
  }
}
