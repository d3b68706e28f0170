/** Tells a person what went wrong and how to mend it; only faults of our own come with a stack. */
import { CofferdamError, ERRORS, EXIT } from '../errors.ts';
import type { CommandContext } from './command.ts';
import { painterFor } from './terminal.ts';

/** Writes to stderr; returns the exit code. */
export function printError(error: unknown, context: CommandContext, isVerbose: boolean): number {
  const paint = painterFor(context.stderr, context.env);
  const known = error instanceof CofferdamError ? error : null;
  const stack = error instanceof Error ? (error.stack ?? String(error)) : String(error);
  const message = known?.message ?? (error instanceof Error ? error.message : String(error));
  const { code, hint } = known ?? { code: 'COF_INTERNAL', hint: ERRORS.COF_INTERNAL.hint };
  const lines = [`${paint('red', 'cofferdam:')} ${message}`];
  if (known === null || isVerbose) lines.push(stack);
  if (isVerbose && known?.cause instanceof Error) lines.push(`cause: ${known.cause.stack}`);
  lines.push(`  ${hint}  ${paint('dim', `[${code}]`)}`);
  context.stderr.write(`${lines.join('\n')}\n`);
  return known?.exitCode ?? EXIT.failed;
}
