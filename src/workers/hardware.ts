/** What a worker says of its machine. */
import { arch, availableParallelism, platform, totalmem } from 'node:os';

export interface Hardware {
  /** Processors that this process may use. */
  readonly cpus: number;
  /** Of the machine, or of its container. */
  readonly memoryBytes: number;
  /** As Node names it: `linux`. */
  readonly platform: string;
  /** As Node names it: `arm64`. */
  readonly arch: string;
}

export function readHardware(): Hardware {
  const limit = process.constrainedMemory();
  const memoryBytes = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  return { cpus: availableParallelism(), memoryBytes, platform: platform(), arch: arch() };
}
