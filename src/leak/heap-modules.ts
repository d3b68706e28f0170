/**
 * ES modules in a heap graph. What a module exports or imports is no variable of a scope: it is a
 * cell in a table of the module, and the table knows the name.
 */
import type { HeapGraph } from './heap-snapshot.ts';

/** For edges that V8 hides: whether one leads from a scope to what its module imports, exports. */
export function moduleLinks(graph: HeapGraph): (node: number, to: number) => boolean {
  const { nodeName, nodeType } = graph;
  const array = graph.nodeTypes.indexOf('array');
  const known = new Map<number, string>();
  const wordOf = (node: number): string => {
    const name = nodeName[node] as number;
    const word = known.get(name) ?? graph.text(name);
    known.set(name, word);
    return word;
  };
  return (node, to) => {
    if (nodeType[node] === array) return wordOf(to) === CELL;
    if (nodeType[to] === array) return wordOf(node) === MODULE;
    return wordOf(to) === MODULE && wordOf(node) === SCOPE;
  };
}

/** Each export's cell, and its name: the table has them side by side. */
export function readExports(graph: HeapGraph): Map<number, string> {
  const exported = new Map<number, string>();
  const hidden = graph.nodeTypes.indexOf('hidden');
  const string = graph.nodeTypes.indexOf('string');
  const names = new Map<number, boolean>();
  for (let node = 0; node < graph.nodeCount; node++) {
    if (graph.nodeType[node] !== hidden) continue;
    const name = graph.nodeName[node] as number;
    const isModule = names.get(name) ?? graph.text(name) === MODULE;
    names.set(name, isModule);
    if (!isModule) continue;
    for (const table of targetsOf(graph, node)) {
      let key: number | null = null;
      for (const entry of targetsOf(graph, table)) {
        const text = graph.text(graph.nodeName[entry] as number);
        if (graph.nodeType[entry] === string) key = graph.nodeName[entry] as number;
        else if (text === CELL && key !== null) exported.set(entry, graph.text(key));
      }
    }
  }
  return exported;
}

// --- internal ---

const MODULE = 'system / SourceTextModule';
const CELL = 'system / Cell';
const SCOPE = 'system / Context';

function targetsOf({ firstEdge, edgeTo }: HeapGraph, node: number): Uint32Array {
  return edgeTo.subarray(firstEdge[node], firstEdge[node + 1]);
}
