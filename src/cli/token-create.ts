import { createApiToken } from '../auth/api-token.ts';
import { SCOPES, type Scope } from '../auth/scope.ts';
import { CreateTokenDocument } from '../client/generated.ts';
import { readConfig } from '../config/config.ts';
import { openDatabase } from '../database/database.ts';
import { InvalidInputError } from '../errors.ts';
import { toPublicId } from '../std/public-id.ts';
import { createLogger } from '../telemetry/logger.ts';
import { CliError, EXIT, type ExitCode } from './exit-code.ts';
import { findProject } from './find-project.ts';
import type { Io } from './io.ts';
import { createOutput, type Output } from './output.ts';
import { reachMigratedDatabase } from './reach-database.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface TokenCreateFlags extends ClientFlags {
  readonly scope: readonly string[];
  readonly project?: readonly string[];
  readonly expires?: Date;
  /** Straight into the database: how the first token of a cluster is made. */
  readonly database?: boolean;
}

interface NewToken {
  readonly id: string;
  readonly token: string;
}

export async function tokenCreate(io: Io, name: string, flags: TokenCreateFlags): Promise<ExitCode> {
  if (flags.database) {
    print(createOutput(io, flags), await insertToken(io, name, flags));
    return EXIT.done;
  }
  return withSession(io, flags, async (session) => {
    const projects = flags.project && (await Promise.all(flags.project.map((p) => findProject(session, p))));
    const { createApiToken } = await session.client.request(CreateTokenDocument, {
      input: {
        name,
        scopes: [...flags.scope],
        projectIds: projects?.map(({ id }) => id) ?? null,
        expiresAt: flags.expires?.toISOString() ?? null,
      },
    });
    print(session.output, accepted(createApiToken, 'CreateApiTokenPayload'));
    return EXIT.done;
  });
}

function print(output: Output, { id, token }: NewToken): void {
  if (output.json) output.value({ id, token });
  else {
    output.note(`${id} is made. This is the only time that the token itself is shown:`);
    output.line(token);
  }
}

async function insertToken(io: Io, name: string, flags: TokenCreateFlags): Promise<NewToken> {
  if (flags.project) throw new CliError('--database makes tokens for all projects only.', { code: 'INVALID_INPUT' });
  const config = readConfig(io.environment);
  const databaseUrl = await reachMigratedDatabase(config);
  const url = config.databaseDirectUrl ?? databaseUrl;
  const db = openDatabase({ url, poolSize: 1, name: 'slipway token', logger: createLogger(config.logLevel) });
  try {
    const { id, token } = await createApiToken(db, {
      name,
      scopes: flags.scope as Scope[],
      projectIds: null,
      expiresAt: flags.expires ?? null,
      createdBy: 'slipway token create',
    });
    return { id: toPublicId('token', id), token };
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    const hints = [
      ...error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`),
      `Scopes: ${SCOPES.join(', ')}.`,
    ];
    throw new CliError('The input is not valid.', { code: error.code, hints });
  } finally {
    await db.destroy();
  }
}
