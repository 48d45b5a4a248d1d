/** Whose a credential is: a project's, or everybody's. Never by accident the latter. */
import { CliError } from './exit-code.ts';
import { findProject } from './find-project.ts';
import type { ClientFlags, Session } from './session.ts';

export interface ScopeFlags extends ClientFlags {
  readonly project?: string;
  readonly global?: boolean;
}

/** The project's id; null for all projects. Throws CliError. */
export async function readScope(session: Session, { project, global }: ScopeFlags): Promise<string | null> {
  if ((project === undefined) === (global !== true)) {
    throw new CliError('Say whose it is: --project <project>, or --global for all projects.', {
      code: 'INVALID_INPUT',
    });
  }
  return project === undefined ? null : (await findProject(session, project)).id;
}
