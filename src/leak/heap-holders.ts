/** The frontier between old and new objects, and who holds what lies behind it. */
import { edgeText } from './heap-edges.ts';
import type { HeapGraph } from './heap-snapshot.ts';
import { NO_EDGE } from './heap-walk.ts';
import type { HeapWalk } from './heap-walk.ts';

/** By interval: index 0 is never used, 1 and 2 are the first and the second. */
export type PerInterval = [number, number, number];

/** What hangs from one old object, or from one of its variables. */
export interface Holder {
  readonly node: number;
  /** One of the new objects that hang directly from it. */
  readonly sample: number;
  /** Whether all of it hangs from the same variable or field. */
  readonly named: boolean;
  readonly bytes: PerInterval;
}

export interface Frontier {
  /** 0 old, 1 born in the first interval, 2 in the second. */
  readonly age: (node: number) => 0 | 1 | 2;
  /** For each new node the topmost new node above it, or itself; {@link NO_EDGE} for old ones. */
  readonly top: Uint32Array;
}

/** Ids are given in order: `firstId` and `secondId` are the highest of the earlier snapshots. */
export function findFrontier(
  graph: HeapGraph,
  walk: HeapWalk,
  ages: { readonly firstId: number; readonly secondId: number | null },
): Frontier {
  const { nodeId, nodeCount } = graph;
  const { firstId, secondId } = ages;
  const age = (node: number): 0 | 1 | 2 => {
    const id = nodeId[node] as number;
    // Even ids are made of addresses, and say nothing of age.
    if (id % 2 === 0 || id <= firstId) return 0;
    return secondId === null || id > secondId ? 2 : 1;
  };
  const top = new Uint32Array(nodeCount).fill(NO_EDGE);
  for (let at = 1; at < walk.reached; at++) {
    const node = walk.order[at] as number;
    const above = top[walk.parentNode[node] as number] as number;
    if (above !== NO_EDGE) top[node] = above;
    else if (age(node) !== 0) top[node] = node;
  }
  return { age, top };
}

/** The holder of every topmost new node. */
export function tallyHolders(
  graph: HeapGraph,
  walk: HeapWalk,
  frontier: Frontier,
): Map<number, Holder> {
  const byTop = new Map<number, Holder>();
  const byOwner = new Map<string, Map<number, Holder>>();
  for (let at = 1; at < walk.reached; at++) {
    const node = walk.order[at] as number;
    const top = frontier.top[node] as number;
    if (top === NO_EDGE) continue;
    let holder = byTop.get(top);
    if (holder === undefined) {
      const owner = ownerOf(graph, walk, walk.parentNode[top] as number);
      // Native objects have even ids. A thousand sockets are one suspect, by the name of their
      // class.
      const isNative = (graph.nodeId[owner] as number) % 2 === 0;
      const key = isNative ? `native ${graph.nodeName[owner]}` : String(owner);
      const names = byOwner.get(key) ?? new Map<number, Holder>();
      byOwner.set(key, names);
      holder = holderIn(names, graph, walk, owner, top);
      byTop.set(top, holder);
    }
    holder.bytes[frontier.age(node)] += graph.nodeSize[node] as number;
  }
  mergeDictionaries(byTop, byOwner);
  return byTop;
}

// --- internal ---

/** More names than that under one object are keys of a dictionary, not variables. */
const NAMES_LIMIT = 8;

/** Backing stores: the object that owns them is the one with a name. */
const STORES = new Set(['table', 'elements', 'properties', 'backing_store']);

/** What looked like the first few variables of an object were the first keys of a dictionary. */
function mergeDictionaries(
  byTop: Map<number, Holder>,
  byOwner: ReadonlyMap<string, ReadonlyMap<number, Holder>>,
): void {
  const merged = new Map<Holder, Holder>();
  for (const names of byOwner.values()) {
    const all = names.get(NO_NAME);
    if (all === undefined || names.size <= NAMES_LIMIT) continue;
    for (const holder of names.values()) {
      if (holder === all) continue;
      all.bytes[1] += holder.bytes[1];
      all.bytes[2] += holder.bytes[2];
      merged.set(holder, all);
    }
  }
  if (merged.size === 0) return;
  for (const [top, holder] of byTop) byTop.set(top, merged.get(holder) ?? holder);
}

const NO_NAME = -1;

function holderIn(
  names: Map<number, Holder>,
  graph: HeapGraph,
  walk: HeapWalk,
  node: number,
  sample: number,
): Holder {
  const edge = walk.parentEdge[sample] as number;
  const type = graph.edgeTypes[graph.edgeType[edge] as number];
  const isVariable = type === 'context' || type === 'property';
  const hasName = isVariable && !LINKS.has(edgeText(graph, edge));
  const name = hasName && names.size <= NAMES_LIMIT ? (graph.edgeName[edge] as number) : NO_NAME;
  const known = names.get(hasName ? (graph.edgeName[edge] as number) : NO_NAME) ?? names.get(name);
  if (known !== undefined) return known;
  const made: Holder = { node, sample, named: name !== NO_NAME, bytes: [0, 0, 0] };
  names.set(name, made);
  return made;
}

/** Fields that chain the items of a list: the list has a name, its last old item has none. */
const LINKS = new Set(['_idleNext', '_idlePrev', 'next', 'prev', '_next', '_prev', 'previous']);

/** No list that a person wants to hear about is longer; also ends cycles. */
const LIFTS_LIMIT = 1_000_000;

function ownerOf(graph: HeapGraph, walk: HeapWalk, start: number): number {
  let node = start;
  for (let lifts = 0; lifts < LIFTS_LIMIT; lifts++) {
    const edge = walk.parentEdge[node] ?? NO_EDGE;
    if (edge === NO_EDGE) return node;
    const text = edgeText(graph, edge);
    const isStore = graph.edgeTypes[graph.edgeType[edge] ?? 0] === 'internal' && STORES.has(text);
    if (!isStore && !LINKS.has(text)) return node;
    node = walk.parentNode[node] ?? node;
  }
  return node;
}
