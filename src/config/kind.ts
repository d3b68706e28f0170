/** What the workers of a pool are: a Node app, PHP scripts, or any program that serves HTTP. */
import { statSync } from 'node:fs';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import { CofferdamError } from '../errors.ts';
import { resolveApp } from './app.ts';
import type { KindName } from './budget.ts';
import { shorten } from './file.ts';
import type { Settings } from './settings.ts';

export type Kind =
  /** Absolute path of the file that starts the server. */
  | { readonly kind: 'node'; readonly app: string }
  | {
      readonly kind: 'php';
      /** Absolute. */
      readonly root: string;
      /** Below the root, without a leading slash; null = what names no file is not found. */
      readonly frontController: string | null;
    }
  /** The program and its arguments, as they were given. */
  | { readonly kind: 'command'; readonly command: readonly string[] };

/** The kind alone, whether or not what it runs is there. */
export function kindNameOf(settings: Settings, cwd: string): KindName {
  return settings.kind === 'auto' ? guessKind(settings, cwd) : settings.kind;
}

/**
 * Throws COF_USAGE, COF_APP_NOT_FOUND, COF_APP_UNSUPPORTED, COF_CONFLICT; `env` is that of the
 * workers.
 */
export function kindOf(settings: Settings, cwd: string, env: WorkerEnv = {}): Kind {
  const kind = kindNameOf(settings, cwd);
  if (kind === 'php') return phpOf(settings, cwd);
  return kind === 'command' ? commandOf(settings) : nodeOf(settings, cwd, env);
}

type WorkerEnv = Readonly<Record<string, string | undefined>>;

/** For messages: `app.js`, `/srv/wiki`, `./my-service`. */
export function nameOf(settings: Settings): string {
  const { app, command, args, root } = settings;
  return app ?? command[0] ?? args[0] ?? root ?? '';
}

/** Whether requests come to the workers through the gateway. Throws COF_CONFLICT. */
export function isBehindGateway({ dispatch, tlsCert }: Settings, { kind }: Kind): boolean {
  if (dispatch === 'gateway') return true;
  if (dispatch === 'auto') return kind !== 'node' || tlsCert !== null;
  if (kind === 'node' && tlsCert === null) return false;
  if (kind === 'node') {
    const message = '--tls-cert is for the gateway: with --dispatch direct the app has its own TLS';
    throw new CofferdamError('COF_CONFLICT', message);
  }
  throw new CofferdamError(
    'COF_CONFLICT',
    `--dispatch direct is for Node apps: a ${kind} worker cannot take connections from us`,
  );
}

// --- internal ---

function guessKind({ app, command, args }: Settings, cwd: string): KindName {
  if (command.length > 0 || (app === null && args.length > 0)) return 'command';
  if (app === null) return 'node';
  const path = resolve(cwd, app);
  if (extname(path) === '.php') return 'php';
  const isPhpFolder =
    isFolder(path) && isFile(join(path, 'index.php')) && !isFile(join(path, 'package.json'));
  return isPhpFolder ? 'php' : 'node';
}

function nodeOf({ app, nodeArgs }: Settings, cwd: string, env: WorkerEnv): Kind {
  return { kind: 'node', app: resolveApp(app, cwd, { nodeArgs, env }) };
}

function commandOf({ app, command, args }: Settings): Kind {
  if (app !== null) {
    const message = 'a command needs no app: give the program and its arguments';
    throw new CofferdamError('COF_CONFLICT', message, {
      hint: 'Write `cofferdam serve -- ./my-service --its-args`, or command = [...] in the file.',
    });
  }
  const words = command.length > 0 ? command : args;
  if (words.length > 0) return { kind: 'command', command: words };
  throw new CofferdamError('COF_USAGE', 'the command is missing', {
    hint: 'Write `cofferdam serve -- ./my-service --its-args`, or command = [...] in the file.',
  });
}

function phpOf({ app, root, frontController, index }: Settings, cwd: string): Kind {
  const given = app === null ? null : resolve(cwd, app);
  const script = given !== null && isFile(given) ? given : null;
  const base = root ?? (script === null ? given : dirname(script));
  if (base === null) {
    throw new CofferdamError('COF_USAGE', 'the script is missing', {
      hint: 'Give the script that answers, `cofferdam serve public/index.php`, or a --root.',
    });
  }
  const folder = resolve(cwd, base);
  if (!isFolder(folder) || (given !== null && script === null && !isFolder(given))) {
    const missing = shorten(isFolder(folder) ? (given ?? folder) : folder, cwd);
    throw new CofferdamError('COF_APP_NOT_FOUND', `there is no ${missing}`);
  }
  const wanted = frontController ?? (script === null ? null : relative(folder, script));
  if (wanted === null || wanted === 'none')
    return { kind: 'php', root: folder, frontController: null };
  const front = wanted.replace(/^\/+/, '');
  if (front.startsWith('..') || !isFile(join(folder, front))) {
    throw new CofferdamError(
      'COF_APP_NOT_FOUND',
      `the front controller ${front} is no file below ${shorten(folder, cwd)}`,
      { hint: `Scripts have to be below the root; a folder's own is its ${basename(index)}.` },
    );
  }
  return { kind: 'php', root: folder, frontController: front };
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
