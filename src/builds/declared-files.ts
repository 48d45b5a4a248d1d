import { type FoundFile, findFiles } from '../artifacts/find-files.ts';
import { readRegularFile } from '../runtimes/read-file.ts';
import { createSecretSearch } from '../runtimes/redact.ts';

const LIMITS = { maxFiles: 1_000, maxBytes: 1024 ** 3 };

export interface DeclaredFile extends FoundFile {
  readonly holdsSecret: boolean;
}

/** The files that any of the globs names, but `except`; throws as `findFiles` does. `secrets`: those of the build. */
export async function findDeclaredFiles(
  root: string,
  request: {
    readonly globs: readonly string[];
    readonly except: readonly string[];
    readonly secrets: readonly string[];
  },
): Promise<DeclaredFile[]> {
  const except = new Set(request.except);
  const holdsSecret = createSecretSearch(request.secrets);
  const declared: DeclaredFile[] = [];
  for (const file of await findFiles(root, request.globs, LIMITS)) {
    if (except.has(file.path)) continue;
    declared.push({ ...file, holdsSecret: await holdsSecret(readRegularFile(file.absolutePath, { root })) });
  }
  return declared;
}
