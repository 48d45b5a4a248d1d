/** What every agent is told beside its task, in as far as it needs it. */

export const UNATTENDED = 'You work unattended: nobody can answer questions.';
export const FOLLOW_REPOSITORY = 'Follow AGENTS.md or CLAUDE.md in the working directory if there is one.';
export const LEAVE_CHANGES =
  'Leave your changes in the working tree: do not commit, push or switch branches; that is done for you.';

/** In place of UNATTENDED, for an agent that asks people by this tool. */
export function attended(tool: string): string {
  return (
    `You work unattended, but people can be asked: use ${tool} when you cannot decide something that matters. ` +
    'An answer may take long.'
  );
}
