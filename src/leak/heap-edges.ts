/** Edges of a heap graph by their names. */
import type { HeapGraph } from './heap-snapshot.ts';

/** From a function to its code, and from there to its file; V8 renamed the second. */
export const SHARED = ['shared'];
export const SCRIPT = ['script', 'script_or_debug_info'];

/** From a function to the variables around it. */
export const SCOPE = ['context'];

/** Name of the variable, field or internal slot; `[12]` for an element. */
export function edgeText(graph: HeapGraph, edge: number): string {
  const type = graph.edgeTypes[graph.edgeType[edge] ?? 0];
  const name = graph.edgeName[edge] ?? 0;
  return type === 'element' || type === 'hidden' ? `[${name}]` : graph.text(name);
}

/** The node that an edge of this name leads to; -1 when there is none. */
export function childBy(graph: HeapGraph, node: number, names: readonly string[]): number {
  const end = graph.firstEdge[node + 1] ?? 0;
  for (let edge = graph.firstEdge[node] ?? 0; edge < end; edge++) {
    if (names.includes(edgeText(graph, edge))) return graph.edgeTo[edge] ?? -1;
  }
  return -1;
}
