/**
 * What was found on the disk, remembered for a moment: with many requests a second, resolving the
 * path of the same script again for each of them took a fifth of their time.
 *
 * A deployment that turns a symbolic link is seen when the moment is over, opcache included (it
 * knows scripts by their real path). Nothing is watched: a watch loses sight of replaced folders,
 * and checking what is remembered would cost half of what is saved.
 */
import { performance } from 'node:perf_hooks';
import { DISK, locate, type Disk, type Located, type Site } from './script-path.ts';

/** Shorter than anybody's deployment, longer than hundreds of requests of a busy site. */
export const FRESH_MS = 100;

/** Entries of each of the three memories; beyond it the moment is over at once. */
const REMEMBERED_MAX = 1000;
/** Longer ones are looked up each time, so that all the memories stay below 6 MB. */
const CHARS_MAX = 1000;

/** {@link locate} for one site at a time, from memory where that is fresh. */
export function createLocator(
  disk: Disk = DISK,
  clock: () => number = () => performance.now(),
): (site: Site, target: string) => Located {
  const realPaths = new Map<string, string | null>();
  const kinds = new Map<string, 'file' | 'folder' | null>();
  /** By path without query, which changes nothing of it but where a redirect leads. */
  const places = new Map<string, Located>();
  let freshUntil = 0;
  let known: Site | null = null;
  const memory: Disk = {
    realPath: (path) => recall(realPaths, path, disk.realPath),
    kindOf: (path) => recall(kinds, path, disk.kindOf),
  };
  return (site, target) => {
    const now = clock();
    if (now >= freshUntil || site !== known || isFull(realPaths) || isFull(kinds)) {
      for (const each of [realPaths, kinds, places]) each.clear();
      freshUntil = now + FRESH_MS;
      known = site;
    }
    const query = target.indexOf('?');
    const path = query === -1 ? target : target.slice(0, query);
    const found = places.get(path);
    if (found !== undefined) return found;
    const located = locate(site, target, memory);
    const isWorthIt = located.type !== 'redirect' && target.length <= CHARS_MAX;
    if (isWorthIt && !isFull(places)) places.set(path, located);
    return located;
  };
}

// --- internal ---

function isFull(map: ReadonlyMap<string, unknown>): boolean {
  return map.size >= REMEMBERED_MAX;
}

function recall<V>(map: Map<string, V>, path: string, ask: (path: string) => V): V {
  const known = map.get(path);
  if (known !== undefined) return known;
  const answer = ask(path);
  if (path.length <= CHARS_MAX) map.set(path, answer);
  return answer;
}
