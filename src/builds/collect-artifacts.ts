/** Phase 4: the files that the project or its template declares are kept. */
import { contentTypeOf } from '../artifacts/content-type.ts';
import { SupersededError } from '../errors.ts';
import { failpoint } from '../std/failpoint.ts';
import type { ResultArtifact } from './build-result.ts';
import { Interrupt, type RunningBuild } from './running-build.ts';

function declaredGlobs({ template, project }: RunningBuild): string[] {
  return [...(template?.artifacts ?? []), ...(project.settings.artifacts ?? [])];
}

/** An artifact that cannot be kept is a warning: the commit is published already. `except` names those that are kept. */
export async function collectArtifacts(
  running: RunningBuild,
  except: readonly string[] = [],
): Promise<readonly ResultArtifact[]> {
  const globs = declaredGlobs(running);
  if (globs.length === 0) return [];
  const kept: ResultArtifact[] = [];
  try {
    const secrets = running.credentials.all;
    for (const file of await running.checkout.findDeclaredFiles({ globs, except, secrets })) {
      if (running.signal.reason instanceof Interrupt && running.signal.reason.reason === 'cancelled') break;
      if (running.redact(file.path) !== file.path || file.holdsSecret) {
        const message = `The artifact ${file.path} was not kept: it holds a secret of this build.`;
        await running.ledger.write({ events: [{ type: 'WARNING', data: { message } }] });
        continue;
      }
      const contentType = contentTypeOf(file.path);
      kept.push(await keepFile(running, { name: file.path, path: file.absolutePath, contentType }));
    }
  } catch (error) {
    running.signal.throwIfAborted();
    if (error instanceof SupersededError) throw error;
    const message = `Not all artifacts were kept: ${error instanceof Error ? error.message : String(error)}`;
    await running.ledger.write({ events: [{ type: 'WARNING', data: { message } }] });
  }
  return kept;
}

/** What an earlier attempt kept before it died, and what it had no time for where its checkout is still here. */
export async function recoverArtifacts(running: RunningBuild): Promise<readonly ResultArtifact[]> {
  const { ledger, workspace, redact } = running;
  const earlier = await ledger.ask('artifacts');
  if (await workspace.attach(redact)) {
    const names = earlier.map(({ name }) => name);
    return [...earlier, ...(await collectArtifacts(running, names))];
  }
  if (declaredGlobs(running).length > 0) {
    const message = 'The checkout is lost: only artifacts that it had kept before are here.';
    await ledger.write({ events: [{ type: 'WARNING', data: { message } }] });
  }
  return earlier;
}

export async function keepFile(
  { ledger, workspace }: RunningBuild,
  { path, ...file }: { readonly name: string; readonly path: string; readonly contentType: string },
): Promise<ResultArtifact> {
  await failpoint('collect.begin');
  const artifact = await ledger.keepArtifact(file, () => workspace.read(path));
  await failpoint('collect.recorded');
  return artifact;
}
