/**
 * The sampling heap profile: which line allocated what is still alive, and how much more each
 * request.
 */
import { isAppScript, plainPath } from './app-frames.ts';
import { mapToSource } from './source-map.ts';
import type { ProfileNode } from './probe-messages.ts';

export interface AllocationSite {
  readonly name: string;
  readonly file: string;
  /** Counts from 1. */
  readonly line: number;
  /** Live bytes added between the two profiles; an estimate from samples. */
  readonly bytes: number;
  readonly bytesPerRequest: number;
}

/** Fewer bytes are one or two samples at 32 KiB: chance. */
const LEAST_BYTES = 4 * 32 * 1024;

const SITES_LIMIT = 5;

/** The first frame of the app on each stack, by growth. */
export async function compareProfiles(
  before: ProfileNode,
  after: ProfileNode,
  requests: number,
): Promise<AllocationSite[]> {
  const grown = bytesBySite(after);
  for (const [key, site] of bytesBySite(before)) {
    const known = grown.get(key);
    if (known !== undefined) known.bytes -= site.bytes;
  }
  const ranked = [...grown.values()]
    .filter(({ bytes }) => bytes >= LEAST_BYTES)
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, SITES_LIMIT);
  return Promise.all(
    ranked.map(async (site) => {
      const place = await mapToSource(site.file, site.line, site.column);
      const { name, bytes } = site;
      return { name, bytes, ...place, bytesPerRequest: bytes / Math.max(1, requests) };
    }),
  );
}

// --- internal ---

interface RawSite {
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  bytes: number;
}

type Frame = ProfileNode['callFrame'];

function bytesBySite(head: ProfileNode): Map<string, RawSite> {
  const sites = new Map<string, RawSite>();
  // An explicit stack: profiles are 64 frames deep, and hostile ones deeper.
  const pending: { node: ProfileNode; owner: Frame | null }[] = [{ node: head, owner: null }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { callFrame, children, selfSize } = next.node;
    const owner = isAppScript(callFrame.url) ? callFrame : next.owner;
    if (owner !== null && selfSize > 0) {
      const key = `${owner.url}:${owner.lineNumber}:${owner.functionName}`;
      const site = sites.get(key) ?? {
        name: owner.functionName || '(anonymous)',
        file: plainPath(owner.url),
        line: owner.lineNumber + 1,
        column: owner.columnNumber + 1,
        bytes: 0,
      };
      site.bytes += selfSize;
      sites.set(key, site);
    }
    for (const node of children) pending.push({ node, owner });
  }
  return sites;
}
