/** What the agent is asked to do by the run that begins now. */
import { renderPrompt } from '../projects/render-template.ts';
import type { RunningBuild } from './running-build.ts';

const INTERRUPTED = {
  QUOTA: 'You were interrupted because the provider took no more requests.',
  LOST: 'You were interrupted because the machine was lost for a while.',
};
const GO_ON = ' Your changes are still there: go on where you were. This is what you were asked to do:\n\n';
const STARTED_OVER =
  'Somebody has worked on this before you: the changes are in the working tree. This is what was to be done:\n\n';
const TOLD = '\n\nThis was said about it since, the last of it last:\n\n';

/** A session that is gone on with knows what was said before; a new one is told all of it. */
export async function agentPrompt({ build, ledger, template }: RunningBuild): Promise<string> {
  const { turn, resumedSession } = ledger.checkpoint;
  const { spec } = build;
  const task = template ? renderPrompt(template, spec.prompt, spec.variables) : spec.prompt;
  const messages = await ledger.ask('messages');
  const said = (isMeant: (message: (typeof messages)[number]) => boolean) =>
    messages
      .filter(isMeant)
      .map(({ text }) => text)
      .join('\n\n');
  const begins = said(({ id }) => turn?.messageIds.includes(id) ?? false);
  if (resumedSession?.id) {
    if (resumedSession.why === 'MESSAGE') return begins;
    return `${INTERRUPTED[resumedSession.why]}${GO_ON}${begins || task}`;
  }
  const all = said(({ id, state }) => state === 'DELIVERED' || (turn?.messageIds.includes(id) ?? false));
  const told = all === '' ? task : `${task}${TOLD}${all}`;
  return resumedSession ? `${STARTED_OVER}${told}` : told;
}
