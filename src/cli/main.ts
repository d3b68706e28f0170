#!/usr/bin/env node
/** The command line: picks the command, prints errors, sets the exit code. */
import { existsSync } from 'node:fs';
import { suggest } from '../config/suggest.ts';
import { CofferdamError, EXIT } from '../errors.ts';
import type { CommandContext } from './command.ts';
import { ignoreErrors } from '../supervisor/output.ts';
import { COMMANDS, type Command } from './commands.ts';
import { printError } from './print-error.ts';

const context: CommandContext = {
  env: process.env,
  cwd: process.cwd(),
  stdout: process.stdout,
  stderr: process.stderr,
};

// A reader that went away (`| head`), a full disk, a closed terminal: no reason to end a server.
ignoreErrors(process.stdout);
ignoreErrors(process.stderr);

const argv = process.argv.slice(2);
const isVerbose = ownWords(argv).includes('--verbose');
try {
  process.exitCode = await dispatch(argv.slice(argv[0] === '--verbose' ? 1 : 0));
} catch (error) {
  process.exitCode = printError(error, context, isVerbose);
}

// --- internal ---

async function dispatch(words: readonly string[]): Promise<number> {
  const [first, ...rest] = words;
  if (first === undefined) return await printHelp(null, 'short');
  if (first === '--help' || first === '-h') return await printHelp(null, 'full');
  if (first === '--version') return await printVersion();
  if (first === 'help')
    return await printHelp(rest[0] === undefined ? null : find(rest[0]), 'full');
  const command = find(first);
  const own = ownWords(rest);
  if (own.includes('--help') || own.includes('-h')) return await printHelp(command, 'full');
  if (own.includes('--version')) return await printVersion();
  const { run } = await command.load();
  return await run(rest, context);
}

/** What is meant for us: after `--` come the arguments of the app. */
function ownWords(words: readonly string[]): readonly string[] {
  const end = words.indexOf('--');
  return end === -1 ? words : words.slice(0, end);
}

function find(name: string): Command {
  const command = COMMANDS.find((command) => command.name === name);
  if (command !== undefined) return command;
  throw new CofferdamError(
    'COF_USAGE',
    `there is no command ${JSON.stringify(name)}`,
    hintFor(name),
  );
}

function hintFor(name: string): { hint?: string } {
  if (name.startsWith('-'))
    return { hint: 'The command comes first: `cofferdam serve server.js`.' };
  const elsewhere = COMMANDS.find((command) => command.elsewhere.includes(name))?.name;
  const guess = elsewhere ?? suggest(name, [...COMMANDS.map((command) => command.name), 'help']);
  if (guess !== null) return { hint: `Did you mean \`cofferdam ${guess}\`?` };
  return existsSync(name) ? { hint: `Did you mean \`cofferdam serve ${name}\`?` } : {};
}

async function printHelp(command: Command | null, length: 'short' | 'full'): Promise<number> {
  const help = await import('./help.ts');
  context.stdout.write(help.renderHelp(command, length, context));
  return EXIT.ok;
}

async function printVersion(): Promise<number> {
  const { readVersion } = await import('./version.ts');
  context.stdout.write(`${readVersion()}\n`);
  return EXIT.ok;
}
