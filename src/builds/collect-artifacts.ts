/** Phase 4: the files that the project or its template declares are kept. */
import { v7 } from 'uuid';
import { findArtifacts } from '../artifacts/artifact.ts';
import { contentTypeOf } from '../artifacts/content-type.ts';
import { SupersededError } from '../errors.ts';
import { failpoint } from '../std/failpoint.ts';
import type { ResultArtifact } from './build-result.ts';
import { Interrupt, type RunBuildDeps, type RunningBuild } from './running-build.ts';

function declaredGlobs({ template, project }: RunningBuild): string[] {
  return [...(template?.artifacts ?? []), ...(project.settings.artifacts ?? [])];
}

/** An artifact that cannot be kept is a warning: the commit is published already. `except` names those that are kept. */
export async function collectArtifacts(
  deps: RunBuildDeps,
  running: RunningBuild,
  except: readonly string[] = [],
): Promise<ResultArtifact[]> {
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
      kept.push(await keepFile(deps, running, { name: file.path, path: file.absolutePath, contentType }));
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
export async function recoverArtifacts(deps: RunBuildDeps, running: RunningBuild): Promise<ResultArtifact[]> {
  const { build, ledger, workspace, redact } = running;
  const earlier = (await ledger.read((db) => findArtifacts(db, [build.id]))).map(
    ({ id, name, contentType, sizeBytes, sha256 }) => ({ id, name, contentType, sizeBytes, sha256 }),
  );
  if (await workspace.attach(redact)) {
    const names = earlier.map(({ name }) => name);
    return [...earlier, ...(await collectArtifacts(deps, running, names))];
  }
  if (declaredGlobs(running).length > 0) {
    const message = 'The checkout is lost: only artifacts that it had kept before are here.';
    await ledger.write({ events: [{ type: 'WARNING', data: { message } }] });
  }
  return earlier;
}

export async function keepFile(
  deps: Pick<RunBuildDeps, 'artifacts'>,
  { build, ledger, workspace }: RunningBuild,
  file: { readonly name: string; readonly path: string; readonly contentType: string },
): Promise<ResultArtifact> {
  await failpoint('collect.begin');
  const { sha256, sizeBytes } = await deps.artifacts.put(workspace.read(file.path));
  await failpoint('collect.stored');
  const artifact = { id: v7(), name: file.name, contentType: file.contentType, sizeBytes, sha256 };
  await ledger.write({
    artifacts: [{ ...artifact, buildId: build.id }],
    events: [{ type: 'ARTIFACT_CREATED', data: { artifactId: artifact.id, name: artifact.name, sizeBytes } }],
  });
  await failpoint('collect.recorded');
  return artifact;
}
