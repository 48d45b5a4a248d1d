import { type Logger as PinoLogger, pino } from 'pino';
import type { LogLevel } from '../std/log-level.ts';

export type Logger = PinoLogger;

/** JSON lines on stderr: stdout belongs to what a command answers. */
export function createLogger(level: LogLevel): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 2, sync: false }),
  );
}
