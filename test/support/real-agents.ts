/** Real agent programs for tests, installed from npm once into `.cache/agents/` of the project. */
import { access, glob, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

interface NpmAgent {
  readonly title: string;
  readonly npmName: string;
  readonly version: string;
  /** The program within `node_modules`: the first that is there. */
  readonly programs: readonly string[];
}

export const NPM_AGENTS = {
  'claude-code': {
    title: 'Claude Code',
    npmName: '@anthropic-ai/claude-code',
    version: '2.1.329',
    programs: ['@anthropic-ai/*/claude'],
  },
  codex: {
    title: 'Codex',
    npmName: '@openai/codex',
    version: '0.169.0',
    programs: ['@openai/*/vendor/*/{bin,codex}/codex'],
  },
  gemini: {
    title: 'Gemini CLI',
    npmName: '@google/gemini-cli',
    version: '0.61.0',
    programs: ['.bin/gemini'],
  },
  'claude-agent-acp': {
    title: 'The ACP adapter of Claude Code',
    npmName: '@agentclientprotocol/claude-agent-acp',
    version: '0.100.0',
    programs: ['.bin/claude-agent-acp'],
  },
  opencode: {
    title: 'OpenCode',
    npmName: 'opencode-ai',
    version: '1.18.33',
    // Beside it lies a slower one for processors without AVX2.
    programs: ['opencode-*-{x64,arm64}/bin/opencode'],
  },
} as const satisfies Record<string, NpmAgent>;

export type AgentName = keyof typeof NPM_AGENTS;

/** Other versions than these, as JSON: `{ "codex": "0.170.0" }`. `npm run agents:check` sets it. */
export const VERSIONS_VARIABLE = 'SLIPWAY_TEST_AGENTS';

const CACHE = join(import.meta.dirname, '../../.cache/agents');
const INSTALL_TIMEOUT_MS = 300_000;

export type RealAgent = { readonly program: string } | { readonly missing: string };

/** The version that tests run with. */
export function versionOf(name: AgentName): string {
  const given = JSON.parse(process.env[VERSIONS_VARIABLE] || '{}') as Partial<Record<AgentName, string>>;
  return given[name] ?? NPM_AGENTS[name].version;
}

/** Its program; or why it cannot be had here, which is printed: then its tests are skipped. */
export async function findAgent(name: AgentName): Promise<RealAgent> {
  const found = await findOrInstall(name, NPM_AGENTS[name]);
  if ('missing' in found) process.stderr.write(`Skipped: ${found.missing}\n`);
  return found;
}

async function findOrInstall(name: AgentName, { title, npmName, programs }: NpmAgent): Promise<RealAgent> {
  const version = versionOf(name);
  const folder = join(CACHE, `${name}-${version}`);
  try {
    if (!(await exists(folder))) await install(`${npmName}@${version}`, folder);
    for await (const program of glob(programs, { cwd: join(folder, 'node_modules') })) {
      return { program: join(folder, 'node_modules', program) };
    }
    return { missing: `npm has no ${title} for this platform.` };
  } catch (error) {
    return { missing: `${title} could not be installed: ${error instanceof Error ? error.message : error}` };
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
