/** Finds the file that starts the user's server, and refuses what this Node cannot run. */
import { accessSync, constants, readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { CofferdamError } from '../errors.ts';
import { shorten } from './file.ts';
import { suggest } from './suggest.ts';

export interface AppOptions {
  /** Options for Node: they may bring a TypeScript loader. */
  readonly nodeArgs?: readonly string[];
  /** Environment of the workers: `NODE_OPTIONS` may do the same. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Whether this Node runs TypeScript by itself; asked of Node unless a test knows better. */
  readonly typeScript?: boolean;
}

/**
 * The absolute path of the app's file; `app` is a file or a folder. Throws COF_USAGE (null),
 * COF_APP_NOT_FOUND, COF_APP_UNSUPPORTED.
 */
export function resolveApp(app: string | null, cwd: string, options: AppOptions = {}): string {
  if (app === null) {
    throw new CofferdamError('COF_USAGE', 'the app is missing', {
      hint: 'Give the file that starts your server: `cofferdam serve server.js`.',
    });
  }
  const path = resolve(cwd, app);
  const file = isFolder(path) ? entryOf(path, cwd) : fileAt(path);
  if (file === null) throw notFound(path, cwd);
  refuseUnreadable(file, cwd);
  refuseTypeScript(file, options);
  return file;
}

// --- internal ---

const EXTENSIONS = ['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts'] as const;

/** Node's own stripping takes these three only: no `.tsx`. */
const STRIPPABLE = ['.ts', '.mts', '.cts'];

/** Options by which a user brings a TypeScript loader: `--import tsx`, `-r ts-node/register`. */
const LOADER_OPTIONS =
  /^(?:--import|--require|-r|--loader|--experimental-(?:loader|strip-types|transform-types))(?:=|$)/;

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** `server` finds `server.js`, as `node server` does. */
function fileAt(path: string): string | null {
  return ['', ...EXTENSIONS].map((extension) => path + extension).find(isFile) ?? null;
}

function indexOf(folder: string): string | null {
  return EXTENSIONS.map((extension) => join(folder, `index${extension}`)).find(isFile) ?? null;
}

function entryOf(folder: string, cwd: string): string {
  const main = mainOf(folder, cwd);
  if (main === null) {
    const index = indexOf(folder);
    if (index !== null) return index;
    throw new CofferdamError(
      'COF_APP_NOT_FOUND',
      `the folder ${shorten(folder, cwd)} has no entry point: ` +
        'neither a "main" in a package.json nor an index.js',
    );
  }
  const target = resolve(folder, main);
  const entry = fileAt(target) ?? indexOf(target);
  if (entry !== null) return entry;
  throw new CofferdamError(
    'COF_APP_NOT_FOUND',
    `${shorten(join(folder, 'package.json'), cwd)} names ${JSON.stringify(main)} as "main", ` +
      'which does not exist',
    { hint: 'Build the app first, or give the file that starts your server.' },
  );
}

function mainOf(folder: string, cwd: string): string | null {
  const path = join(folder, 'package.json');
  if (!isFile(path)) return null;
  try {
    const manifest: unknown = JSON.parse(readFileSync(path, 'utf8'));
    const main = (manifest as { readonly main?: unknown } | null)?.main;
    return typeof main === 'string' && main !== '' ? main : null;
  } catch (cause) {
    const message = `${shorten(path, cwd)} cannot be read as JSON`;
    throw new CofferdamError('COF_APP_NOT_FOUND', message, { cause });
  }
}

function notFound(path: string, cwd: string): CofferdamError {
  const folder = dirname(path);
  const shown = shorten(path, cwd);
  if (!isFolder(folder)) {
    const message = `there is no ${shown}: the folder ${shorten(folder, cwd)} does not exist`;
    return new CofferdamError('COF_APP_NOT_FOUND', message);
  }
  const guess = suggest(basename(path), readdirSync(folder));
  return new CofferdamError(
    'COF_APP_NOT_FOUND',
    `there is no file ${shown}`,
    guess === null ? {} : { hint: `Did you mean ${shorten(join(folder, guess), cwd)}?` },
  );
}

function refuseUnreadable(file: string, cwd: string): void {
  try {
    accessSync(file, constants.R_OK);
  } catch (cause) {
    const message = `${shorten(file, cwd)} cannot be read: permission denied`;
    throw new CofferdamError('COF_APP_NOT_FOUND', message, {
      hint: 'Check its permissions.',
      cause,
    });
  }
}

function refuseTypeScript(
  file: string,
  { nodeArgs = [], env = {}, typeScript = runsTypeScript() }: AppOptions,
): void {
  const extension = extname(file);
  const strippable = STRIPPABLE.includes(extension);
  if (!strippable && extension !== '.tsx') return;
  if (strippable && typeScript) return;
  const options = [...nodeArgs, ...(env['NODE_OPTIONS'] ?? '').split(/\s+/)];
  if (options.some((option) => LOADER_OPTIONS.test(option))) return;
  throw new CofferdamError(
    'COF_APP_UNSUPPORTED',
    `Node ${process.versions.node} cannot run ${basename(file)}`,
    {
      hint:
        'Build it to JavaScript, bring a loader (--node-args "--import tsx"), ' +
        'or use Node 22.18 or newer for .ts files.',
    },
  );
}

/** `process.features.typescript` is absent on Node 20, false or a mode on later ones. */
function runsTypeScript(): boolean {
  return Boolean((process.features as { readonly typescript?: unknown }).typescript);
}
