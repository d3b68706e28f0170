/** The shape that all commands share, so that the command table in main.ts is only a table. */
import type { Writable } from 'node:stream';

/** An output that may be a terminal; `process.stdout` and `process.stderr` are. */
export interface Output extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface CommandContext {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly stdout: Output;
  readonly stderr: Output;
}

/**
 * What each command's module exports as `run`: resolves to the exit code, or rejects with a
 * CofferdamError.
 */
export type Run = (argv: readonly string[], context: CommandContext) => Promise<number>;
