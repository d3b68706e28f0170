/**
 * Walks the heap graph once, from the roots, and gives every object the path by which a person
 * would reach it: what the app can name comes first, the engine's own roots after it.
 *
 * The order is the whole art. A new object is charged to the nearest old one on its path, so a path
 * through feedback cells, maps or a WeakMap's table would name nobody.
 */
import { moduleLinks, readExports } from './heap-modules.ts';
import { isInternalScript } from './app-frames.ts';
import { ROOT_NODE } from './heap-snapshot.ts';
import type { HeapGraph } from './heap-snapshot.ts';
import { SCRIPT, SHARED, childBy } from './heap-edges.ts';

export interface HeapWalk {
  /** The edge by which each node was reached; {@link NO_EDGE} for the root and for what was not. */
  readonly parentEdge: Uint32Array;
  readonly parentNode: Uint32Array;
  /** All reached nodes, each after its parent. */
  readonly order: Uint32Array;
  readonly reached: number;
  /** Names of the variables that ES modules export, by the cell that holds each. */
  readonly exported: ReadonlyMap<number, string>;
}

export const NO_EDGE = 0xffffffff;

/** `7 / part of key (Object @1) -> value (Object @3) pair in WeakMap (table @5)`, in V8's words. */
export const EPHEMERON = / pair in WeakMap \(table @(\d+)\)/;

export function walkHeap(graph: HeapGraph): HeapWalk {
  const { nodeCount, firstEdge, edgeTo } = graph;
  const parentEdge = new Uint32Array(nodeCount).fill(NO_EDGE);
  const parentNode = new Uint32Array(nodeCount);
  const order = new Uint32Array(nodeCount);
  const seen = new Uint8Array(nodeCount);
  const levelOf = edgeLevels(graph);
  let reached = 1;
  seen[ROOT_NODE] = 1;
  // Each level begins by going over all that is known, for the edges that only now may be used.
  for (let allowed = 0; allowed <= LAST_LEVEL; allowed++) {
    for (let at = 0; at < reached; at++) {
      const node = order[at] as number;
      const end = firstEdge[node + 1] as number;
      for (let edge = firstEdge[node] as number; edge < end; edge++) {
        const to = edgeTo[edge] as number;
        if (seen[to] === 1 || levelOf(node, edge, to) > allowed) continue;
        seen[to] = 1;
        parentEdge[to] = edge;
        parentNode[to] = node;
        order[reached++] = to;
      }
    }
  }
  return { parentEdge, parentNode, order, reached, exported: readExports(graph) };
}

// --- internal ---

/**
 * What the app's own objects hold comes first, then what Node's native objects hold (a server, a
 * socket), then the variables of Node's own JavaScript: its timers lead to nearly every app, and
 * "timerListMap" tells nothing of a Map that a request handler fills.
 */
const LEVEL = {
  user: 0,
  roots: 1,
  internals: 2,
  engine: 3,
  gcRoots: 4,
  last: 5,
  never: 9,
} as const;

const LAST_LEVEL = LEVEL.last;

/** Node types that belong to the engine: code, shapes, feedback. */
const ENGINE_TYPES = new Set(['hidden', 'code', 'object shape']);

/** V8 keeps these beside objects for speed; nobody's variable leads through them. */
const ENGINE_EDGES = new Set([
  'map',
  'feedback_cell',
  'code',
  'dependent_code',
  'enum_cache',
  'transitions',
  'back_pointer',
  'prototype_info',
  'native_context',
]);

function edgeLevels(graph: HeapGraph): (node: number, edge: number, to: number) => number {
  const { edgeType, edgeName, nodeType, nodeId } = graph;
  const kinds = graph.edgeTypes;
  const weak = kinds.indexOf('weak');
  const hidden = kinds.indexOf('hidden');
  const internal = kinds.indexOf('internal');
  const shortcut = kinds.indexOf('shortcut');
  const closure = graph.nodeTypes.indexOf('closure');
  const engineNode = graph.nodeTypes.map((type) => ENGINE_TYPES.has(type));
  const table = internalNames(graph);
  const isInternal = internalClosures(graph);
  const isLink = moduleLinks(graph);
  return (node, edge, to) => {
    const type = edgeType[edge];
    if (type === weak) return LEVEL.never;
    if (node === ROOT_NODE) {
      if (type === shortcut) return LEVEL.user;
      // Handles of the engine point everywhere; Node's own tree of native objects says more.
      return graph.text(graph.nodeName[to] as number) === '(GC roots)'
        ? LEVEL.gcRoots
        : LEVEL.roots;
    }
    if (type === internal) {
      const isScope = nodeType[node] === closure && graph.text(edgeName[edge] as number) === SCOPE;
      if (isScope && isInternal(node)) return LEVEL.internals;
      const known = table(edgeName[edge] as number);
      if (known === ENGINE_NAME) return LEVEL.engine;
      if (known === STACK_NAME) return LEVEL.last;
      // The table holds its values only as long as their keys live: the key is the true holder.
      if (known !== PLAIN_NAME && known === nodeId[node]) return LEVEL.last;
    }
    if (type === hidden || engineNode[nodeType[to] as number] === true) {
      return isLink(node, to) ? LEVEL.user : LEVEL.engine;
    }
    return LEVEL.user;
  };
}

/**
 * No name that matters has a length between these. The entries of a Map do: `12345`, each a string
 * of its own, and reading them all took longer than the whole walk.
 */
const NUMBER_MIN = 5;
const NUMBER_MAX = 9;

const PLAIN_NAME = 0;
const ENGINE_NAME = -1;

/** Constants of optimized code that happens to run: it would hide the variable they stand for. */
const STACK_NAME = -2;

/** From a function to the variables around it. */
const SCOPE = 'context';

/** For a name: plain, the engine's, or the id of the WeakMap table that it speaks of. */
function internalNames(graph: HeapGraph): (name: number) => number {
  const known = new Map<number, number>();
  return (name) => {
    const length = graph.textLength(name);
    if (length >= NUMBER_MIN && length <= NUMBER_MAX) return PLAIN_NAME;
    const cached = known.get(name);
    if (cached !== undefined) return cached;
    const text = graph.text(name);
    const found = meaningOf(text);
    known.set(name, found);
    return found;
  };
}

function meaningOf(text: string): number {
  if (ENGINE_EDGES.has(text)) return ENGINE_NAME;
  if (text.endsWith('deoptimization literal')) return STACK_NAME;
  const pair = EPHEMERON.exec(text);
  return pair === null ? PLAIN_NAME : Number(pair[1]);
}

/** Whether a function is Node's or ours; asked of each function, so it is known by its code. */
function internalClosures(graph: HeapGraph): (node: number) => boolean {
  const known = new Map<number, boolean>();
  return (node) => {
    const shared = childBy(graph, node, SHARED);
    if (shared < 0) return false;
    const cached = known.get(shared);
    if (cached !== undefined) return cached;
    const script = childBy(graph, shared, SCRIPT);
    const name = script < 0 ? '' : graph.text(graph.nodeName[script] as number);
    const found = isInternalScript(name);
    known.set(shared, found);
    return found;
  };
}
