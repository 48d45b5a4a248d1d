import { type Logger as PinoLogger, pino } from 'pino';
import type { LogLevel } from '../std/log-level.ts';
import { currentLogFields } from './trace-scope.ts';

export type Logger = PinoLogger;

/** What went wrong and where; a string is a message already. */
function serializeError(error: unknown): unknown {
  return error instanceof Error ? pino.stdSerializers.err(error) : error;
}

/**
 * JSON lines on stderr: stdout belongs to what a command answers. What is logged for a request or a build says so:
 * `trace_id`, `span_id`, and of a build `build` and `attempt`.
 */
export function createLogger(level: LogLevel): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { error: serializeError },
      mixin: () => ({ ...currentLogFields() }),
    },
    pino.destination({ fd: 2, sync: false }),
  );
}
