import { BUILT_IN_SCRIPTS } from './built-in-scripts.ts';
import { type ParsedScript, parseScript } from './scripted-steps.ts';

const FENCES = /^```slipway[^\n]*\n(.*?)^```/gms;
const MARKER = /\[\[script:([A-Za-z0-9_-]{1,64})\]\]/;

/**
 * The script of a prompt: its fenced blocks of the language `slipway`, JSON lists of steps that are done in order; or
 * `[[script:NAME]]`, a script of the template or a built-in one; or else the script `demo`. A script of the template
 * goes before a built-in one of the same name.
 */
export function resolveScript(prompt: string, scripts: Readonly<Record<string, unknown>>): ParsedScript {
  const fenced = [...prompt.matchAll(FENCES)].map(([, json = '']) => parseFenced(json));
  if (fenced.length > 0) return joined(fenced);
  const name = MARKER.exec(prompt)?.[1] ?? 'demo';
  if (Object.hasOwn(scripts, name)) return named(name, parseScript(scripts[name]));
  const builtIn = BUILT_IN_SCRIPTS.get(name);
  if (builtIn) return { ok: true, steps: builtIn(prompt) };
  const known = [...new Set([...Object.keys(scripts), ...BUILT_IN_SCRIPTS.keys()])].join(', ');
  return { ok: false, message: `There is no script ${name}. There are: ${known}.` };
}

function parseFenced(json: string): ParsedScript {
  try {
    return parseScript(JSON.parse(json));
  } catch {
    return { ok: false, message: 'The script in the prompt is not valid JSON.' };
  }
}

function joined(scripts: readonly ParsedScript[]): ParsedScript {
  const wrong = scripts.find(({ ok }) => !ok);
  return wrong ?? { ok: true, steps: scripts.flatMap((script) => (script.ok ? script.steps : [])) };
}

function named(name: string, script: ParsedScript): ParsedScript {
  return script.ok ? script : { ok: false, message: `Script ${name}: ${script.message}` };
}
