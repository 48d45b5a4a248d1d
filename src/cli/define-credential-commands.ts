import { type Command, Option } from 'commander';
import type { CredentialDeleteFlags } from './credential-delete.ts';
import type { CredentialListFlags } from './credential-list.ts';
import type { CredentialRotateFlags } from './credential-rotate.ts';
import type { ScopeFlags } from './credential-scope.ts';
import type { CredentialSetFlags } from './credential-set.ts';
import { clientFlags, jsonFlag, type Run } from './define-commands.ts';
import { integer, type Limit, limit } from './parse-option.ts';

const MAX_GRACE = 30 * 86_400;
const PROJECT = 'of this project: its slug or id';

export function defineCredentialCommands(program: Command, run: Run): void {
  const credential = program.command('credential').description('secrets of projects: written, used, never shown');
  defineSet(credential, run);

  clientFlags(credential.command('list'))
    .description('list credentials by name; their values cannot be had')
    .option('-p, --project <project>', `${PROJECT}; by default those of all projects`)
    .action((flags: CredentialListFlags) =>
      run(async (io) => (await import('./credential-list.ts')).credentialList(io, flags)),
    );

  clientFlags(
    credential
      .command('limit')
      .argument('<name>', 'its name: of a key of a model')
      .argument('<number>', 'builds at the same time, or none for any number', limit(0, 100_000)),
  )
    .description('how many builds run with this key at the same time')
    .option('-p, --project <project>', PROJECT)
    .option('--global', 'one of all projects')
    .action((name: string, most: Limit, flags: ScopeFlags) =>
      run(async (io) => (await import('./credential-limit.ts')).credentialLimit(io, name, most, flags)),
    );

  clientFlags(credential.command('delete').argument('<name>', 'its name'))
    .description('delete a credential; builds that run keep what they were given')
    .option('-p, --project <project>', PROJECT)
    .option('--global', 'one of all projects')
    .action((name: string, flags: CredentialDeleteFlags) =>
      run(async (io) => (await import('./credential-delete.ts')).credentialDelete(io, name, flags)),
    );

  jsonFlag(credential.command('rotate-key'))
    .description('seal everything in SLIPWAY_DATABASE_URL, or in a stopped `slipway up`, with a new master key')
    .option('--data <folder>', 'the data folder (SLIPWAY_DATA, by default .slipway)')
    .option('--lost', 'the current key is lost: delete what nobody can open, and begin anew')
    .addHelpText(
      'after',
      '\nWhere the key is a file, a new one is written before the old ones. Where it is SLIPWAY_MASTER_KEY, give every ' +
        'process\nthe new key there and the old one in SLIPWAY_PREVIOUS_MASTER_KEYS first. May be interrupted and repeated.',
    )
    .action((flags: CredentialRotateFlags) =>
      run(async (io) => (await import('./credential-rotate.ts')).credentialRotate(io, flags)),
    );
}

function defineSet(credential: Command, run: Run): void {
  clientFlags(
    credential.command('set').argument('<name>', 'what it is called; an earlier one of this name is replaced'),
  )
    .description('keep a secret; it is read from stdin, a file or a variable, never from the command line')
    .option('-p, --project <project>', PROJECT)
    .option('--global', 'of all projects')
    .option('--git <url>', 'the password or token of this host, for git')
    .option('--username <name>', 'with --git: the user; many hosts take any name with a token')
    .option('--model-key <variable>', 'the key that agents take in this variable, such as ANTHROPIC_API_KEY')
    .option('--base-url <url>', "with --model-key: where requests with this key go; by default the provider's address")
    .option('--callback-signing', 'the secret that signs callbacks: whsec_…')
    .addOption(
      new Option('--grace <seconds>', 'with --callback-signing: how long the secret before it signs, too').argParser(
        integer(0, MAX_GRACE),
      ),
    )
    .option('--generate', 'with --callback-signing: make the secret, and print it once')
    .option('--registry <url>', 'the token of this package registry')
    .option('--deploy <environment>', 'the kubeconfig with which this environment is deployed')
    .option('--variable <name>', 'with --deploy: not a kubeconfig but what deploy commands find in this variable')
    .option('--value-file <file>', 'read the secret from this file')
    .option('--value-env <variable>', 'read the secret from this environment variable')
    .addHelpText(
      'after',
      '\nExample: pass show github | slipway credential set github -p site --git https://github.com --username bot',
    )
    .action((name: string, flags: CredentialSetFlags) =>
      run(async (io) => (await import('./credential-set.ts')).credentialSet(io, name, flags)),
    );
}
