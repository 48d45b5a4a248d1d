import { type Logger as PinoLogger, pino } from 'pino';
import type { LogLevel } from '../std/log-level.ts';

export type Logger = PinoLogger;

/** What went wrong and where; a string is a message already. */
function serializeError(error: unknown): unknown {
  return error instanceof Error ? pino.stdSerializers.err(error) : error;
}

/** JSON lines on stderr: stdout belongs to what a command answers. */
export function createLogger(level: LogLevel): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, serializers: { error: serializeError } },
    pino.destination({ fd: 2, sync: false }),
  );
}
