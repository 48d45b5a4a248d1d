/** What an agent can leave in its checkout, its `.git` and its home to make git run something. */
import { execFileSync } from 'node:child_process';
import { appendFile, chmod, cp, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { plainGit, writeFiles } from './sandbox.ts';

export interface Scene {
  readonly work: string;
  /** The agent's `.git`. */
  readonly git: string;
  /** A program that writes the marker. */
  readonly trap: string;
  readonly remote: string;
  /** A repository whose commit is the submodule `sub`. */
  readonly library: string;
}

export interface Trap {
  readonly name: string;
  set(scene: Scene): Promise<unknown> | unknown;
  /** What plain git is asked to do before it adds, commits and pushes; `REMOTE` stands for the remote. */
  readonly provoke?: readonly string[];
  /** Where plain git pushes to, if not to the remote's path. */
  readonly pushTo?: string;
}

const config =
  (key: string, value?: string) =>
  ({ git, trap }: Scene) =>
    execFileSync('git', ['config', '--file', join(git, 'config'), key, value ?? trap]);

const hook =
  (name: string) =>
  async ({ git, trap }: Scene) => {
    await mkdir(join(git, 'hooks'), { recursive: true });
    await writeFile(join(git, 'hooks', name), `#!/bin/sh\n'${trap}' < /dev/null\n`, { mode: 0o755 });
  };

const attributes =
  (text: string) =>
  ({ work }: Scene) =>
    writeFiles(work, { '.gitattributes': `${text}\n` });

const append =
  (text: (scene: Scene) => string) =>
  (scene: Scene): Promise<void> =>
    appendFile(join(scene.git, 'config'), text(scene));

const all =
  (...steps: ((scene: Scene) => unknown)[]) =>
  async (scene: Scene) => {
    for (const step of steps) await step(scene);
  };

const addOrigin = append(({ remote }) => `[remote "origin"]\n\turl = ${remote}\n`);

/** A clone of the library, trapped in two ways and with a change that springs them. */
export const nestedRepository =
  (path: string) =>
  async ({ work, trap, library }: Scene): Promise<void> => {
    const nested = join(work, path);
    await rm(nested, { recursive: true, force: true });
    await cp(library, nested, { recursive: true });
    plainGit(nested, 'config', 'core.fsmonitor', trap);
    plainGit(nested, 'config', 'filter.evil.clean', trap);
    await writeFiles(nested, { '.git/info/attributes': '*.evil filter=evil\n', 'lib.evil': 'y\n' });
  };

/** Two branches that do not agree about a file. */
async function twoBranches({ work }: Scene): Promise<void> {
  for (const [branch, text] of [
    ['other', 'theirs\n'],
    ['mine', 'ours\n'],
  ] as const) {
    plainGit(work, 'checkout', '--quiet', '--force', '-B', branch, 'main');
    await writeFiles(work, { 'b.evil': text });
    plainGit(work, 'commit', '--quiet', '--all', '--message', branch);
  }
}

async function hooksFolderInCheckout({ work, git, trap }: Scene): Promise<void> {
  await writeFiles(work, { 'hooks/pre-commit': `#!/bin/sh\n'${trap}' < /dev/null\n` });
  await chmod(join(work, 'hooks/pre-commit'), 0o755);
  await rm(join(git, 'hooks'), { recursive: true, force: true });
}

const hooks: readonly Trap[] = [
  ...['pre-commit', 'prepare-commit-msg', 'commit-msg', 'post-commit', 'post-index-change'].map((name) => ({
    name: `hook ${name}`,
    set: hook(name),
  })),
  { name: 'hook reference-transaction', set: hook('reference-transaction') },
  { name: 'hook pre-push', set: hook('pre-push') },
  { name: 'hook post-checkout', set: hook('post-checkout'), provoke: ['checkout', '-B', 'elsewhere'] },
  { name: 'hook post-rewrite', set: hook('post-rewrite'), provoke: ['commit', '--amend', '--message', 'x'] },
  {
    name: 'core.hooksPath',
    set: all(
      hooksFolderInCheckout,
      append(() => '[core]\n\thooksPath = hooks\n'),
    ),
  },
  {
    name: 'hooks folder that is a link',
    set: all(hooksFolderInCheckout, ({ work, git }) => symlink(join(work, 'hooks'), join(git, 'hooks'))),
  },
];

const filters: readonly Trap[] = [
  { name: 'filter.clean', set: all(config('filter.evil.clean'), attributes('*.evil filter=evil')) },
  {
    name: 'filter.smudge',
    set: all(config('filter.evil.smudge'), attributes('*.evil filter=evil')),
    provoke: ['checkout', '--', 'b.evil'],
  },
  { name: 'filter.process', set: all(config('filter.evil.process'), attributes('*.evil filter=evil')) },
  {
    name: 'filter through .git/info/attributes',
    set: all(config('filter.evil.clean'), ({ git }) => writeFiles(git, { 'info/attributes': '*.evil filter=evil\n' })),
  },
  {
    name: 'filter through core.attributesFile',
    set: all(
      config('filter.evil.clean'),
      ({ work }) => writeFiles(work, { 'attributes.txt': '*.evil filter=evil\n' }),
      append(({ work }) => `[core]\n\tattributesFile = ${join(work, 'attributes.txt')}\n`),
    ),
  },
  {
    name: 'filter through an included file',
    set: all(
      attributes('*.evil filter=evil'),
      ({ work, trap }) => writeFiles(work, { 'included.txt': `[filter "evil"]\n\tclean = ${trap}\n` }),
      append(({ work }) => `[include]\n\tpath = ${join(work, 'included.txt')}\n`),
    ),
  },
  {
    name: 'filter through includeIf',
    set: all(
      attributes('*.evil filter=evil'),
      ({ work, trap }) => writeFiles(work, { 'included.txt': `[filter "evil"]\n\tclean = ${trap}\n` }),
      append(({ work }) => `[includeIf "gitdir:/**"]\n\tpath = ${join(work, 'included.txt')}\n`),
    ),
  },
  { name: 'filter in a submodule that the agent filled', set: nestedRepository('sub') },
  {
    name: 'merge driver',
    set: all(twoBranches, config('merge.evil.driver'), ({ git }) =>
      writeFiles(git, { 'info/attributes': '*.evil merge=evil\n' }),
    ),
    provoke: ['merge', 'other'],
  },
];

const diffs: readonly Trap[] = [
  { name: 'diff.external', set: config('diff.external'), provoke: ['diff', 'HEAD'] },
  {
    name: 'diff.<driver>.command',
    set: all(config('diff.evil.command'), attributes('*.evil diff=evil')),
    provoke: ['diff', 'HEAD'],
  },
  {
    name: 'diff.<driver>.textconv',
    set: all(config('diff.evil.textconv'), attributes('*.evil diff=evil')),
    provoke: ['diff', 'HEAD'],
  },
];

const programs: readonly Trap[] = [
  { name: 'core.fsmonitor', set: config('core.fsmonitor') },
  { name: 'core.editor', set: config('core.editor'), provoke: ['commit', '--allow-empty'] },
  {
    name: 'core.sshCommand',
    set: config('core.sshCommand'),
    provoke: ['ls-remote', 'ssh://nobody@127.0.0.1/x'],
  },
  {
    name: 'core.alternateRefsCommand',
    set: config('core.alternateRefsCommand'),
    provoke: ['fetch', 'REMOTE', 'refs/heads/*:refs/heads/copy/*'],
  },
  { name: 'gpg.program', set: all(config('gpg.program'), config('commit.gpgSign', 'true')) },
  {
    name: 'gpg.ssh.defaultKeyCommand',
    set: all(config('gpg.ssh.defaultKeyCommand'), config('gpg.format', 'ssh'), config('commit.gpgSign', 'true')),
  },
  {
    name: 'trailer.<token>.command',
    set: config('trailer.evil.command'),
    provoke: ['commit', '--allow-empty', '--message', 'x', '--trailer', 'evil: 1'],
  },
  {
    name: 'submodule.<name>.update',
    set: all(
      ({ work, library }) =>
        writeFiles(work, { '.gitmodules': `[submodule "sub"]\n\tpath = sub\n\turl = ${library}\n` }),
      append(({ trap, library }) => `[submodule "sub"]\n\tactive = true\n\turl = ${library}\n\tupdate = !${trap}\n`),
      nestedRepository('sub'),
      ({ work }) => plainGit(join(work, 'sub'), 'config', '--unset', 'core.fsmonitor'),
      ({ work }) => plainGit(join(work, 'sub'), 'config', '--unset', 'filter.evil.clean'),
      ({ work }) => plainGit(join(work, 'sub'), 'commit', '--quiet', '--all', '--message', 'another'),
    ),
    provoke: ['submodule', 'update'],
  },
];

const remotes: readonly Trap[] = [
  {
    name: 'remote.<name>.receivepack',
    set: all(config('remote.origin.receivepack'), addOrigin),
    pushTo: 'origin',
  },
  {
    name: 'remote.<name>.uploadpack',
    set: all(config('remote.origin.uploadpack'), addOrigin),
    provoke: ['fetch', 'origin'],
  },
  {
    name: 'url.insteadOf with ext::',
    set: append(
      ({ trap, remote }) => `[url "ext::${trap} "]\n\tinsteadOf = ${remote}\n[protocol "ext"]\n\tallow = always\n`,
    ),
    provoke: ['ls-remote', 'REMOTE'],
  },
];

const layouts: readonly Trap[] = [
  {
    name: '.git is a file that points elsewhere',
    set: all(hook('pre-commit'), async ({ work, git }) => {
      await rename(git, join(work, 'elsewhere'));
      await writeFile(git, 'gitdir: elsewhere\n');
    }),
  },
  {
    name: '.git is a link to elsewhere',
    set: all(hook('pre-commit'), async ({ work, git }) => {
      await rename(git, join(work, 'elsewhere'));
      await symlink('elsewhere', git);
    }),
  },
  {
    name: 'config.worktree',
    set: all(config('extensions.worktreeConfig', 'true'), ({ git, trap }) =>
      writeFiles(git, { 'config.worktree': `[core]\n\tfsmonitor = ${trap}\n` }),
    ),
  },
  {
    name: 'commondir',
    set: all(config('core.fsmonitor'), async ({ work, git }) => {
      await cp(git, join(work, 'common'), { recursive: true });
      await writeFiles(git, { commondir: '../common\n', config: null });
    }),
  },
];

export const TRAPS: readonly Trap[] = [...hooks, ...filters, ...diffs, ...programs, ...remotes, ...layouts];
