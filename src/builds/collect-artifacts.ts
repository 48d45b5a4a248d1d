/** Phase 4: the files that the project or its template declares are kept. */
import { v7 } from 'uuid';
import { contentTypeOf } from '../artifacts/content-type.ts';
import { findFiles } from '../artifacts/find-files.ts';
import type { ResultArtifact } from './build-result.ts';
import type { RunBuildDeps, RunningBuild } from './running-build.ts';

const LIMITS = { maxFiles: 1_000, maxBytes: 1024 ** 3 };

/** An artifact that cannot be kept is a warning: the commit is published already. */
export async function collectArtifacts(deps: RunBuildDeps, running: RunningBuild): Promise<ResultArtifact[]> {
  const globs = [...(running.template?.artifacts ?? []), ...(running.project.settings.artifacts ?? [])];
  if (globs.length === 0) return [];
  try {
    const kept: ResultArtifact[] = [];
    for (const file of await findFiles(running.workspace.paths.work, globs, LIMITS)) {
      const contentType = contentTypeOf(file.path);
      kept.push(await keepFile(deps, running, { name: file.path, path: file.absolutePath, contentType }));
    }
    return kept;
  } catch (error) {
    running.signal.throwIfAborted();
    const message = `Artifacts were not kept: ${error instanceof Error ? error.message : String(error)}`;
    await running.ledger.write({ events: [{ type: 'WARNING', data: { message } }] });
    return [];
  }
}

export async function keepFile(
  deps: Pick<RunBuildDeps, 'artifacts'>,
  { build, ledger }: RunningBuild,
  file: { readonly name: string; readonly path: string; readonly contentType: string },
): Promise<ResultArtifact> {
  const { sha256, sizeBytes } = await deps.artifacts.put(file.path);
  const artifact = { id: v7(), name: file.name, contentType: file.contentType, sizeBytes, sha256 };
  await ledger.write({
    artifacts: [{ ...artifact, buildId: build.id }],
    events: [{ type: 'ARTIFACT_CREATED', data: { artifactId: artifact.id, name: artifact.name, sizeBytes } }],
  });
  return artifact;
}
