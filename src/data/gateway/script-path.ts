/**
 * Which file of a PHP site a request means: the one place where a path from outside becomes a path
 * on the disk. Whatever runs is a regular file with the right extension whose real path lies inside
 * the real root; all the rest is a static file, the front controller, or refused.
 *
 * Reads are synchronous: a stat of a cached inode takes 3 µs, the way to libuv's threads and back
 * takes ten times that. Nothing is remembered here (see site-memory.ts).
 *
 * Paths are binary strings (one character per byte), for a file name need not be UTF-8.
 */
import { realpathSync, statSync } from 'node:fs';

export interface Site {
  /** Absolute; may be a symbolic link. */
  readonly root: string;
  /** Extensions that run, with the dot. */
  readonly extensions: readonly string[];
  /** Looked for in a folder. */
  readonly index: string;
  /** Relative to the root; gets whatever names no file. */
  readonly frontController: string | null;
}

/** A script as CGI names it; binary strings. */
export interface Script {
  /** Real path of the file. */
  readonly file: string;
  /** Real path of the root. */
  readonly root: string;
  /** Its path in the URL, unescaped. */
  readonly name: string;
  /** What follows the script in the URL, unescaped; null for nothing, never ''. */
  readonly pathInfo: string | null;
}

export type Located =
  | { readonly type: 'script'; readonly script: Script }
  /** A regular file inside the root that does not run; real path. */
  | { readonly type: 'file'; readonly file: Buffer }
  /** A folder without its last slash. */
  | { readonly type: 'redirect'; readonly location: string }
  | { readonly type: 'refused'; readonly status: 400 | 404; readonly detail: string };

/** What is asked of the disk; paths are binary strings. */
export interface Disk {
  /** Null for what is not there, or not ours to read. */
  readonly realPath: (path: string) => string | null;
  /** Of what a link leads to; null for what is neither, or not there. */
  readonly kindOf: (path: string) => 'file' | 'folder' | null;
}

export const DISK: Disk = { realPath, kindOf };

/** `target`: path and query in origin form, as received. Throws nothing. */
export function locate(site: Site, target: string, disk: Disk = DISK): Located {
  const query = target.indexOf('?');
  const escaped = query === -1 ? target : target.slice(0, query);
  const path = cleanPath(escaped);
  if (path === null) return refused(400, 'the path is not valid');
  const root = disk.realPath(toBinary(site.root));
  if (root === null) return refused(404, 'the root folder is gone');
  const place = { site, root, disk };
  const found = findFile(place, path, query === -1 ? '' : target.slice(query));
  if (found !== null) return found;
  const front = site.frontController;
  const script = front === null ? null : scriptAt(place, `/${toBinary(front)}`, null);
  return script ?? refused(404, 'no such file');
}

/**
 * The regular file that a script wants to be sent (X-Sendfile, X-Accel-Redirect) when it lies
 * inside one of these folders; else null. `path` is absolute or, for a URI, below a folder.
 */
export function findSendfile(
  wish: { readonly kind: 'path' | 'uri'; readonly value: string },
  folders: readonly string[],
): Buffer | null {
  const path = wish.kind === 'uri' ? cleanPath(wish.value.split('?', 1)[0] ?? '') : wish.value;
  if (path === null || !path.startsWith('/') || path.includes('\0')) return null;
  for (const folder of folders) {
    const root = realPath(toBinary(folder));
    const file = root === null ? null : realPath(wish.kind === 'uri' ? root + path : path);
    if (root === null || file === null || !isInside(root, file)) continue;
    if (kindOf(file) === 'file') return Buffer.from(file, 'latin1');
  }
  return null;
}

// --- internal ---

interface Place {
  readonly site: Site;
  /** Real. */
  readonly root: string;
  readonly disk: Disk;
}

/** Null when the path names nothing that may be reached. */
function findFile(place: Place, path: string, query: string): Located | null {
  const [name, pathInfo] = splitPathInfo(place.site, path);
  if (hasDotSegment(name)) return null;
  if (pathInfo !== null || isScriptName(place.site, name)) return scriptAt(place, name, pathInfo);
  if (place.disk.kindOf(place.root + name) === 'folder') {
    if (!name.endsWith('/')) return { type: 'redirect', location: `${escape(name)}/${query}` };
    return scriptAt(place, name + toBinary(place.site.index), null) ?? fileAt(place, name + INDEX);
  }
  return name.endsWith('/') ? null : fileAt(place, name);
}

const INDEX = 'index.html';

function scriptAt(place: Place, name: string, pathInfo: string | null): Located | null {
  const { site, root, disk } = place;
  const file = disk.realPath(root + name);
  if (file === null || !isInside(root, file) || hasDotSegment(file.slice(root.length))) return null;
  // The link may be called .php and lead to an upload.
  if (!isScriptName(site, name) || !isScriptName(site, file)) return null;
  if (disk.kindOf(file) !== 'file') return null;
  return { type: 'script', script: { file, root, name, pathInfo } };
}

function fileAt({ site, root, disk }: Place, name: string): Located | null {
  const file = disk.realPath(root + name);
  if (file === null || !isInside(root, file) || hasDotSegment(file.slice(root.length))) return null;
  // Never the source of a script: neither through a link nor as `INDEX.PHP`.
  const lower = file.toLowerCase();
  if (site.extensions.some((extension) => lower.endsWith(extension.toLowerCase()))) return null;
  if (PHP_SOURCE.test(lower)) return null;
  if (disk.kindOf(file) !== 'file') return null;
  return { type: 'file', file: Buffer.from(file, 'latin1') };
}

/** What PHP is written in besides, and what editors and people leave beside it. */
const PHP_SOURCE =
  /\.(?:php\d?|pht|phtml|phps|phar|inc)(?:~|#|[._-](?:bak|backup|copy|dist|old|orig|save?|sw[op]|tmp|\d+))?$/;

/** At the first extension that a slash follows, so that no later one can be chosen by a visitor. */
function splitPathInfo(site: Site, path: string): [name: string, pathInfo: string | null] {
  let first = -1;
  for (const extension of site.extensions) {
    const at = path.indexOf(`${extension}/`);
    if (at > 0 && (first === -1 || at + extension.length < first)) first = at + extension.length;
  }
  return first === -1 ? [path, null] : [path.slice(0, first), path.slice(first)];
}

function isScriptName(site: Site, name: string): boolean {
  return site.extensions.some((extension) => name.endsWith(extension));
}

// oxlint-disable-next-line no-control-regex
const BAD_PATH = /[\u0000-\u001f\u007f]/;

/** Unescaped, without empty or dot segments; null when it is malformed or leaves the root. */
function cleanPath(escaped: string): string | null {
  if (!escaped.startsWith('/') || escaped.includes('#')) return null;
  if (/%(?![0-9A-Fa-f]{2})/.test(escaped)) return null;
  const path = escaped.replaceAll(/%(..)/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  if (BAD_PATH.test(path)) return null;
  // Nearly all paths are clean already.
  if (!/\/(?:\/|\.\.?(?:\/|$))/.test(path)) return path;
  const kept: string[] = [];
  const segments = path.split('/');
  for (const segment of segments) {
    if (segment === '..' && kept.pop() === undefined) return null;
    if (segment !== '' && segment !== '.' && segment !== '..') kept.push(segment);
  }
  const isFolder = ['', '.', '..'].includes(segments.at(-1) ?? '');
  return `/${kept.join('/')}${isFolder && kept.length > 0 ? '/' : ''}`;
}

/** `.env`, `.git`; only `/.well-known/` is meant for everybody (RFC 8615). */
function hasDotSegment(path: string): boolean {
  return path.replace(/^\/\.well-known(?=\/)/, '').includes('/.');
}

function isInside(root: string, file: string): boolean {
  return file.startsWith(root.endsWith('/') ? root : `${root}/`);
}

function escape(path: string): string {
  return path.replaceAll(/[^A-Za-z0-9\-._~!$&'()*+,;=:@/]/g, (character) => {
    const hex = character.charCodeAt(0).toString(16).toUpperCase();
    return `%${hex.padStart(2, '0')}`;
  });
}

function realPath(path: string): string | null {
  try {
    return realpathSync.native(Buffer.from(path, 'latin1'), 'latin1');
  } catch {
    // No such file, a loop of links, a name too long, a folder that is not ours to read.
    return null;
  }
}

function kindOf(path: string): 'file' | 'folder' | null {
  try {
    const stat = statSync(Buffer.from(path, 'latin1'), { throwIfNoEntry: false });
    return stat?.isFile() === true ? 'file' : stat?.isDirectory() === true ? 'folder' : null;
  } catch {
    // As above: what cannot be read does not exist for a visitor.
    return null;
  }
}

function toBinary(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

function refused(status: 400 | 404, detail: string): Located {
  return { type: 'refused', status, detail };
}
