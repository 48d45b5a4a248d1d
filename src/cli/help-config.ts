import type { Option } from '../config/option.ts';
import { OPTIONS } from '../config/options.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { createOutput } from './output.ts';

/** Every environment variable that Slipway reads. */
export function helpConfig(io: Io): ExitCode {
  const output = createOutput(io, {});
  output.line('Slipway is configured by environment variables:\n');
  for (const option of Object.values(OPTIONS) as readonly Option<unknown>[]) {
    const fallback = option.default === '' ? 'not set' : option.default;
    output.line(`  ${output.style('bold', option.env)}  (default: ${fallback})\n      ${option.help}`);
  }
  return EXIT.done;
}
