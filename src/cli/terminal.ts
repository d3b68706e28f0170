/** Colours, where the output can and the user wants them. */
import type { Output } from './command.ts';

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export type Paint = (style: keyof typeof CODES, text: string) => string;

/**
 * `NO_COLOR` wins over `FORCE_COLOR`, which wins over `TERM=dumb` and over not being a terminal.
 */
export function painterFor(output: Output, env: NodeJS.ProcessEnv): Paint {
  if (!wantsColor(output, env)) return (_, text) => text;
  return (style, text) => `\u001B[${CODES[style]}m${text}\u001B[0m`;
}

// --- internal ---

function wantsColor(output: Output, env: NodeJS.ProcessEnv): boolean {
  if (env['NO_COLOR']) return false;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  return output.isTTY === true && env['TERM'] !== 'dumb';
}
