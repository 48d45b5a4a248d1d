/** Three clocks that end an agent: too long in all, too long silent, too long alive after its last word. */
import type { AgentEvent, StopReason } from '../agents/agent.ts';
import type { BuildLimits } from './build-spec.ts';

export interface AgentClocks {
  /** The agent printed something. */
  activity(events: readonly AgentEvent[]): void;
  /** Nobody reads the agent until the next `activity`: its silence is ours. */
  pause(): void;
  /** Somebody reads again. */
  resume(): void;
  /** People are asked: until they have answered no clock runs. Safe to repeat. */
  hold(): void;
  /** They have answered. Resolves to the milliseconds that this took; 0 when nobody was asked. */
  release(): number;
  /** For good: whatever is called afterwards starts none. */
  stop(): void;
}

export function startAgentClocks(options: {
  readonly limits: Pick<BuildLimits, 'wallSeconds' | 'silenceSeconds' | 'lingerSeconds'>;
  readonly startedAt: Date;
  /** Since when people have been asked, before these clocks; null: nobody is. */
  readonly askedSince: Date | null;
  readonly stop: (why: Extract<StopReason, 'wall_limit' | 'silence_limit' | 'linger'>) => void;
}): AgentClocks {
  const { limits, stop } = options;
  let wallEndsAt = options.startedAt.getTime() + limits.wallSeconds * 1000;
  let heldSince = options.askedSince?.getTime() ?? null;
  let isRead = true;
  let turnFinished = false;
  let stopped = false;
  let wall: NodeJS.Timeout | undefined;
  let silence: NodeJS.Timeout | undefined;
  let linger: NodeJS.Timeout | undefined;

  function stopQuiet(): void {
    clearTimeout(silence);
    clearTimeout(linger);
  }

  function startWall(): void {
    clearTimeout(wall);
    if (stopped) return;
    wall = setTimeout(() => stop('wall_limit'), Math.max(0, wallEndsAt - Date.now()));
  }

  function startQuiet(): void {
    stopQuiet();
    if (stopped || !isRead || heldSince !== null) return;
    silence = setTimeout(() => stop('silence_limit'), limits.silenceSeconds * 1000);
    // After a turn has ended the agent may begin another one, or exit; an agent that does neither is ended.
    if (turnFinished) linger = setTimeout(() => stop('linger'), limits.lingerSeconds * 1000);
  }

  if (heldSince === null) startWall();
  startQuiet();
  return {
    activity(events) {
      if (events.length > 0) turnFinished = events.at(-1)?.type === 'turn_finished';
    },
    pause() {
      isRead = false;
      stopQuiet();
    },
    resume() {
      isRead = true;
      startQuiet();
    },
    hold() {
      if (heldSince !== null) return;
      heldSince = Date.now();
      clearTimeout(wall);
      stopQuiet();
    },
    release() {
      if (heldSince === null) return 0;
      const waitedMs = Math.max(0, Date.now() - heldSince);
      heldSince = null;
      wallEndsAt += waitedMs;
      startWall();
      startQuiet();
      return waitedMs;
    },
    stop() {
      stopped = true;
      clearTimeout(wall);
      stopQuiet();
    },
  };
}
