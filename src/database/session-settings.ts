/** How long a server may work and wait for us, and how soon it notices that we are gone. */

export interface DatabaseLimits {
  /** One statement, by the server. */
  readonly statementMs: number;
  /** One wait for a lock, by the server. */
  readonly lockMs: number;
  /** One transaction, by the server; where it is Postgres 17 or newer. */
  readonly transactionMs: number;
  /** One answer, by the client. */
  readonly answerMs: number;
}

/** Of requests and builds. */
export const WORK_LIMITS: DatabaseLimits = {
  statementMs: 30_000,
  lockMs: 10_000,
  transactionMs: 60_000,
  answerMs: 35_000,
};

/** Of heartbeats, which are of no use when they are late. */
export const CONTROL_LIMITS: DatabaseLimits = {
  statementMs: 3_000,
  lockMs: 2_000,
  transactionMs: 10_000,
  answerMs: 3_500,
};

/** Of migrations: an index of a large table takes its time, and whoever migrates at the same time waits for it. */
export const MIGRATION_LIMITS: DatabaseLimits = {
  statementMs: 30 * 60_000,
  lockMs: 30 * 60_000,
  transactionMs: 2 * 60 * 60_000,
  answerMs: 31 * 60_000,
};

const IDLE_IN_TRANSACTION_MS = 30_000;

/**
 * One statement that sets the limits: for the session, or for the transaction that it is part of. Settings of a start-up
 * packet would do the same, but poolers refuse them, and a server refuses all when one is not known to it.
 */
export function setLimits(limits: DatabaseLimits, scope: 'session' | 'transaction'): string {
  const set = (name: string, value: string) => `set_config('${name}', '${value}', ${scope === 'transaction'})`;
  const settings = [
    set('statement_timeout', `${limits.statementMs}ms`),
    set('lock_timeout', `${limits.lockMs}ms`),
    set('idle_in_transaction_session_timeout', `${IDLE_IN_TRANSACTION_MS}ms`),
    `case when current_setting('server_version_num')::int >= 170000
      then ${set('transaction_timeout', `${limits.transactionMs}ms`)} end`,
  ];
  // A client whose machine is gone without a goodbye holds its locks no longer than this.
  const connection = [
    set('tcp_keepalives_idle', '10'),
    set('tcp_keepalives_interval', '5'),
    set('tcp_keepalives_count', '3'),
    set('tcp_user_timeout', '20s'),
  ];
  return `select ${(scope === 'session' ? [...settings, ...connection] : settings).join(', ')}`;
}
