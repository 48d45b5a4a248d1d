/** What this machine and its cluster have and lack, and how to get it. */
import { readConfig } from '../config/config.ts';
import { oneLine } from './clean-text.ts';
import { runChecks } from './doctor-checks.ts';
import { checkKubernetes } from './doctor-kubernetes.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Finding } from './finding.ts';
import type { Io } from './io.ts';
import { createOutput } from './output.ts';

const MARKS = { ok: ['green', '✔ ok  '], warn: ['yellow', '! warn'], fail: ['red', '✖ fail'] } as const;

export interface DoctorFlags {
  readonly json?: boolean;
  readonly kubernetes?: boolean;
}

export async function doctor(io: Io, flags: DoctorFlags): Promise<ExitCode> {
  const output = createOutput(io, flags);
  const config = readConfig(io.environment);
  const findings = await runChecks(config);
  if (flags.kubernetes || config.runtime === 'kubernetes') {
    const note = (message: string) => (output.json ? undefined : output.note(oneLine(message, 400)));
    findings.push(...(await checkKubernetes({ config, io, note })));
  }
  const isFit = findings.every(({ level }) => level !== 'fail');
  if (output.json) output.value({ ok: isFit, findings });
  else {
    for (const finding of findings) print(output, finding);
    output.line(isFit ? '\nSlipway can run here.' : '\nSlipway cannot run here yet: see what failed.');
  }
  return isFit ? EXIT.done : EXIT.error;
}

function print(output: ReturnType<typeof createOutput>, { level, name, message, remedy }: Finding): void {
  const [colour, mark] = MARKS[level];
  output.line(`${output.style(colour, mark)}  ${name.padEnd(12)} ${oneLine(message, 400)}`);
  if (remedy) output.line(`${' '.repeat(21)} -> ${oneLine(remedy, 400)}`);
}
