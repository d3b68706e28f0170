/** Who made it: drives requests while the probe records what each of them leaves behind. */
import type { Lane } from './lane.ts';
import { isAppScript, plainPath } from './app-frames.ts';
import { mapToSource } from './source-map.ts';

/** Things of one kind that one line makes and nobody ends. */
export interface MadeSite {
  /** `timer`, `file descriptor`, `listener of "change" on EventEmitter`… */
  readonly what: string;
  /** The app's innermost line; a package's if the app has none on the stack. */
  readonly place: { readonly name: string; readonly file: string; readonly line: number } | null;
  /** The whole stack, less Node's own frames; files and lines as written, not as built. */
  readonly stack: string;
  readonly perRequest: number;
}

export interface MadeThings {
  readonly sites: readonly MadeSite[];
  /** What descriptors were added, by what they point to. */
  readonly descriptors: readonly { readonly what: string; readonly count: number }[];
}

/** Twice `step` requests: what the first half leaves and the second does not is no leak. */
export async function recordSites(
  lane: Lane,
  step: number,
  left: () => number,
): Promise<MadeThings> {
  await lane.target.ask({ type: 'sites_start' }, left());
  // What is already open is of no interest; what these requests open and keep is.
  const before = await lane.target.describeDescriptors();
  const first = await driveAndRead(lane, step, left);
  const both = await driveAndRead(lane, step, left);
  const after = await lane.target.describeDescriptors();
  const grown = [...both].flatMap(([key, site]) => {
    const count = Math.min(first.get(key)?.count ?? 0, site.count - (first.get(key)?.count ?? 0));
    return site.stack !== '' && count >= step * LEAST_SHARE ? [{ ...site, count }] : [];
  });
  grown.sort((a, b) => b.count - a.count || Number(isListener(a)) - Number(isListener(b)));
  const sites = await Promise.all(
    grown.slice(0, SITES_LIMIT).map(async ({ what, stack, count }) => {
      const frames = await Promise.all(stack.split('\n').map(mapFrame));
      const place = frames.find(({ isApp }) => isApp)?.place ?? frames[0]?.place ?? null;
      const text = frames.map((frame) => frame.text).join('\n');
      return { what: WORDS[what] ?? what, place, stack: text, perRequest: count / step };
    }),
  );
  const descriptors = [...after]
    .map(([what, count]) => ({ what, count: count - (before.get(what) ?? 0) }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count)
    .slice(0, SITES_LIMIT);
  return { sites, descriptors };
}

// --- internal ---

/** What one request in a hundred leaves is still a leak. */
const LEAST_SHARE = 0.01;

const SITES_LIMIT = 5;

/** Node's names of its handles, as a person would say them. */
const WORDS: Readonly<Record<string, string>> = {
  Timeout: 'timer',
  TCPWRAP: 'TCP socket',
  TCPSERVERWRAP: 'TCP server',
  PIPEWRAP: 'pipe',
  TLSWRAP: 'TLS socket',
  UDPWRAP: 'UDP socket',
  MESSAGEPORT: 'message port',
  FSEVENTWRAP: 'file watcher',
  STATWATCHER: 'file watcher',
  PROCESSWRAP: 'child process',
  WORKER: 'worker thread',
  ZLIB: 'zlib stream',
};

interface Counted {
  readonly what: string;
  readonly stack: string;
  readonly count: number;
}

/** A socket brings listeners of its own: with as many of both, the socket is the news. */
function isListener({ what }: Counted): boolean {
  return what.startsWith('listener');
}

async function driveAndRead(
  lane: Lane,
  step: number,
  left: () => number,
): Promise<Map<string, Counted>> {
  await lane.drive(step);
  const reply = await lane.target.ask({ type: 'sites' }, left());
  const sites = reply.type === 'sites' ? reply.sites : [];
  return new Map(sites.map((site) => [`${site.what}\n${site.stack}`, site]));
}

/** `at handler (/app/server.js:12:3)`, `at /app/server.js:12:3`, `at async file:///…`. */
const FRAME = /^at (?:(.*) \()?(.+?):(\d+):(\d+)\)?$/;

async function mapFrame(text: string) {
  const [, name = '', script = '', line, column] = FRAME.exec(text) ?? [];
  if (line === undefined) return { text, place: null, isApp: false };
  const built = plainPath(script.replace(/^async /, ''));
  const place = await mapToSource(built, Number(line), Number(column));
  const at = `${place.file}:${place.line}`;
  return {
    text: name === '' ? `at ${at}` : `at ${name} (${at})`,
    place: { name: name || '(anonymous)', ...place },
    isApp: isAppScript(built),
  };
}
