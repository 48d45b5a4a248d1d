/** Real agent programs for tests, installed from npm once into `.cache/agents/` of the project. */
import { access, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

export const CLAUDE_CODE_VERSION = '2.1.329';

const CACHE = join(import.meta.dirname, '../../.cache/agents');
const INSTALL_TIMEOUT_MS = 300_000;

export type RealAgent = { readonly program: string } | { readonly missing: string };

/** Its program, or why it cannot be had here: then its tests are skipped and say so. */
export async function findClaudeCode(): Promise<RealAgent> {
  const folder = join(CACHE, `claude-code-${CLAUDE_CODE_VERSION}`);
  try {
    if (!(await exists(folder))) await install(`@anthropic-ai/claude-code@${CLAUDE_CODE_VERSION}`, folder);
    const scope = join(folder, 'node_modules/@anthropic-ai');
    for (const name of await readdir(scope)) {
      const program = join(scope, name, 'claude');
      if (await exists(program)) return { program };
    }
    return { missing: 'npm has no Claude Code for this platform.' };
  } catch (error) {
    return { missing: `Claude Code could not be installed: ${error instanceof Error ? error.message : error}` };
  }
}

/** Into a temporary folder that gets its name when it is complete: an install that broke leaves nothing behind. */
async function install(spec: string, folder: string): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const draft = await mkdtemp(join(CACHE, 'installing-'));
  try {
    await writeFile(join(draft, 'package.json'), '{ "private": true }');
    const options = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts'];
    await execa('npm', ['install', ...options, spec], { cwd: draft, timeout: INSTALL_TIMEOUT_MS });
    await rename(draft, folder).catch(async (error: unknown) => {
      // Another test process was faster.
      if (!(await exists(folder))) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
