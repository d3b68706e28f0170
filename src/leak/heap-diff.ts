/**
 * Frontier attribution: which OLD objects do the NEW ones hang from? V8's object ids are stable and
 * given in order, so three snapshots of one process tell the age of every object in the last one.
 * Each new object is charged to the nearest old object on its path. What grew in both intervals
 * counts; warm-up and requests in flight grow in one and drop out. No dominators, one walk.
 */
import { classOf, placeOf, printPath, scopeOf, stepsTo, variableOf } from './heap-path.ts';
import type { Place } from './heap-path.ts';
import { explain } from './heap-explain.ts';
import type { Shape } from './heap-explain.ts';
import type { HeapGraph } from './heap-snapshot.ts';
import { weakMapOn } from './heap-weak.ts';
import { findFrontier, tallyHolders } from './heap-holders.ts';
import type { Frontier, Holder, PerInterval } from './heap-holders.ts';
import { walkHeap } from './heap-walk.ts';
import type { HeapWalk } from './heap-walk.ts';

/** Highest object ids of the earlier snapshots, and requests between the snapshots. */
export interface Generations {
  readonly firstId: number;
  /** Null with two snapshots: then there is one interval, and no protection from warm-up. */
  readonly secondId: number | null;
  /** Requests in each interval; null when unknown (files given by hand). */
  readonly requests: readonly [number, number] | null;
}

/** New objects of one class under one holder. `perRequest` is null when requests are unknown. */
export interface Kin {
  readonly className: string;
  readonly count: number;
  readonly bytes: number;
  readonly perRequest: number | null;
}

/** Whatever is new below one variable, field or object. */
export interface HeldThings {
  /** The variable or field: `sessions`; or the class of what holds, if nothing has a name. */
  readonly name: string;
  readonly holderClass: string;
  /** From a root to the holder, the words of the programmer. */
  readonly path: readonly string[];
  /** The function through whose scope the path goes, with file and line. */
  readonly reachedFrom: Place | null;
  /** Live bytes added in both intervals together, and per request. */
  readonly bytes: number;
  readonly bytesPerRequest: number | null;
  readonly kin: readonly Kin[];
  /** Functions among the new objects, and classes that are written in a file. */
  readonly places: readonly (Place & {
    readonly perRequest: number | null;
    readonly count: number;
  })[];
  /** What piles up: listeners, timers, promises; null if it is plain data. */
  readonly shape: Shape | null;
  /** The shape in a sentence. */
  readonly explanation: string | null;
}

/** Best first. Nobody reads a tenth suspect. */
export const SUSPECTS_LIMIT = 8;

/** Next to one that holds a kilobyte per request, one that holds ten bytes is nobody's suspect. */
const CROWD_SHARE = 0.01;

export function findSuspects(graph: HeapGraph, generations: Generations): HeldThings[] {
  const walk = walkHeap(graph);
  const frontier = findFrontier(graph, walk, generations);
  const holders = tallyHolders(graph, walk, frontier);
  const ranked = [...new Set(holders.values())]
    .map((holder) => ({ holder, score: scoreOf(holder.bytes, generations) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)
    .slice(0, SUSPECTS_LIMIT)
    .filter(({ score }, _, [best]) => score >= (best?.score ?? 0) * CROWD_SHARE);
  const scene = { graph, walk, generations };
  const members = groupMembers(scene, frontier, holders, new Set(ranked.map((r) => r.holder)));
  return ranked
    .map(({ holder, score }) => describe(scene, holder, score, members.get(holder) ?? NOBODY))
    .filter(({ kin }) => kin.some(({ className }) => !ENGINE_KINDS.has(className)));
}

// --- internal ---

interface Scene {
  readonly graph: HeapGraph;
  readonly walk: HeapWalk;
  readonly generations: Generations;
}

/** Without a second interval everything new counts; with it, only what both have. */
function scoreOf(bytes: PerInterval, { secondId }: Generations): number {
  return secondId === null ? bytes[2] : 2 * Math.min(bytes[1], bytes[2]);
}

interface Members {
  readonly className: string;
  /** One of them. */
  readonly sample: number;
  readonly count: PerInterval;
  readonly bytes: PerInterval;
}

/** What hangs from one holder. */
interface Group {
  readonly byKind: Map<string, Members>;
  /** Whether some of it carries the store of an AsyncLocalStorage (before Node 24: in a field). */
  hasStores: boolean;
}

const NOBODY: Group = { byKind: new Map(), hasStores: false };

const STORE_FIELD = '<symbol kResourceStore>';
const STORE_CLASS = 'AsyncContextFrame';

/** V8's own: shapes, code, cells. They come with what the app makes, and alone are its warm-up. */
const ENGINE_KINDS = new Set(['(hidden)', '(object shape)', '(code)']);

/** New objects of the chosen holders by what they are, and by where they are written. */
function groupMembers(
  { graph, walk }: Scene,
  frontier: Frontier,
  holders: ReadonlyMap<number, Holder>,
  chosen: ReadonlySet<Holder>,
): Map<Holder, Group> {
  const groups = new Map<Holder, Group>();
  for (let at = 1; at < walk.reached; at++) {
    const node = walk.order[at] as number;
    const holder = holders.get(frontier.top[node] as number);
    const age = frontier.age(node);
    if (holder === undefined || age === 0 || !chosen.has(holder)) continue;
    const group = groups.get(holder) ?? { byKind: new Map(), hasStores: false };
    groups.set(holder, group);
    group.hasStores ||= isStore(graph, walk.parentEdge[node] as number);
    const className = classOf(graph, node);
    const place = graph.locations.get(node);
    const key = `${className} ${place?.scriptId ?? ''}:${place?.line ?? ''}:${place?.column ?? ''}`;
    const members = group.byKind.get(key) ?? {
      className,
      sample: node,
      count: [0, 0, 0] as PerInterval,
      bytes: [0, 0, 0] as PerInterval,
    };
    group.byKind.set(key, members);
    members.count[age] += 1;
    members.bytes[age] += graph.nodeSize[node] as number;
  }
  return groups;
}

function isStore(graph: HeapGraph, edge: number): boolean {
  const name = graph.edgeName[edge] as number;
  if (graph.edgeTypes[graph.edgeType[edge] as number] !== 'property') return false;
  // To read each key of a dictionary from the file would take longer than the walk.
  return graph.textLength(name) === STORE_FIELD.length && graph.text(name) === STORE_FIELD;
}

/** The largest kinds tell the story. */
const KIN_LIMIT = 6;
const PLACES_LIMIT = 5;

function describe(
  { graph, walk, generations }: Scene,
  holder: Holder,
  score: number,
  group: Group,
): HeldThings {
  const { requests, secondId } = generations;
  const steady = [...group.byKind.values()].filter(({ bytes, count }) =>
    secondId === null ? count[2] > 0 : scoreOf(bytes, generations) > 0,
  );
  steady.sort(byTelling);
  const both = requests === null ? null : requests[1] + (secondId === null ? 0 : requests[0]);
  const each = (count: PerInterval) => (both === null ? null : (count[1] + count[2]) / both);
  const steps = stepsTo(graph, walk, holder.named ? holder.sample : holder.node);
  const variable = variableOf(steps);
  const kin = steady.slice(0, KIN_LIMIT).map(({ className, count, bytes }) => ({
    className,
    count: count[1] + count[2],
    bytes: bytes[1] + bytes[2],
    perRequest: each(count),
  }));
  const places = steady
    .map(({ sample, count }) => ({ place: placeOf(graph, sample), count }))
    .flatMap(({ place, count }) =>
      place === null ? [] : [{ ...place, perRequest: each(count), count: count[1] + count[2] }],
    )
    .slice(0, PLACES_LIMIT);
  const holderClass = classOf(graph, holder.node);
  const classNames = steady.map(({ className }) => className);
  const toSample = stepsTo(graph, walk, holder.sample);
  const explained = explain({
    steps: toSample,
    holderClass,
    classNames,
    weakMap: weakMapOn(graph, walk, toSample),
    hasStores: group.hasStores || classNames.includes(STORE_CLASS),
  });
  return {
    name: variable?.edge ?? holderClass,
    holderClass,
    path: printPath(steps),
    reachedFrom: scopeOf(graph, walk, steps),
    bytes: score,
    bytesPerRequest: both === null ? null : score / both,
    kin,
    places,
    shape: explained?.shape ?? null,
    explanation: explained?.sentence ?? null,
  };
}

/** Strings and arrays are what things are made of; objects and functions are the things. */
function byTelling(a: Members, b: Members): number {
  const tier = ({ className }: Members): number =>
    ENGINE_KINDS.has(className) ? 2 : /^(\(|system \/)/.test(className) ? 1 : 0;
  const weight = ({ bytes, count }: Members): number =>
    (bytes[1] + bytes[2]) * 4 + count[1] + count[2];
  return tier(a) - tier(b) || weight(b) - weight(a);
}
