/** Says that a build was accepted, and watches it where that is asked for. */
import type { BuildRowFragment } from '../client/generated.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { followBuild } from './follow-build.ts';
import type { Session } from './session.ts';

export interface StartedBuild {
  readonly build: BuildRowFragment;
  readonly deduplicated: boolean;
}

export async function reportStart(
  session: Session,
  { build, deduplicated }: StartedBuild,
  flags: { readonly watch?: boolean; readonly plain?: boolean },
): Promise<ExitCode> {
  const { output } = session;
  if (deduplicated) output.note('This idempotency key was used before: this is the build of that time.');
  if (flags.watch) {
    output.note(`${build.id} is number ${build.number} of ${build.project.slug}.`);
    return followBuild(session, { buildId: build.id, plain: flags.plain ?? false });
  }
  if (output.json) output.value({ ...build, deduplicated });
  else output.line(build.id);
  return EXIT.done;
}
