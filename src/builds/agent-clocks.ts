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
  stop(): void;
}

export function startAgentClocks(options: {
  readonly limits: Pick<BuildLimits, 'wallSeconds' | 'silenceSeconds' | 'lingerSeconds'>;
  readonly startedAt: Date;
  readonly stop: (why: Extract<StopReason, 'wall_limit' | 'silence_limit' | 'linger'>) => void;
}): AgentClocks {
  const { limits, stop } = options;
  const wallMs = Math.max(0, options.startedAt.getTime() + limits.wallSeconds * 1000 - Date.now());
  const wall = setTimeout(() => stop('wall_limit'), wallMs);
  let silence = setTimeout(() => stop('silence_limit'), limits.silenceSeconds * 1000);
  let linger: NodeJS.Timeout | undefined;
  let turnFinished = false;
  const pause = () => {
    clearTimeout(silence);
    clearTimeout(linger);
  };
  return {
    activity(events) {
      if (events.length > 0) turnFinished = events.at(-1)?.type === 'turn_finished';
    },
    pause,
    resume() {
      pause();
      silence = setTimeout(() => stop('silence_limit'), limits.silenceSeconds * 1000);
      // After a turn has ended the agent may begin another one, or exit; an agent that does neither is ended.
      if (turnFinished) linger = setTimeout(() => stop('linger'), limits.lingerSeconds * 1000);
    },
    stop() {
      clearTimeout(wall);
      pause();
    },
  };
}
