/** Which WeakMap it is: V8 names the pair by its table, and the table hangs from the map. */
import { stepsTo, variableOf } from './heap-path.ts';
import type { Step } from './heap-path.ts';
import type { HeapGraph } from './heap-snapshot.ts';
import { EPHEMERON } from './heap-walk.ts';
import type { HeapWalk } from './heap-walk.ts';

/** The variable or field with the WeakMap of the last such pair on a path; null without one. */
export function weakMapOn(graph: HeapGraph, walk: HeapWalk, steps: readonly Step[]): string | null {
  const pair = steps.findLast(({ edge }) => EPHEMERON.test(edge));
  const table = Number(EPHEMERON.exec(pair?.edge ?? '')?.[1] ?? Number.NaN);
  const node = graph.nodeId.indexOf(table);
  if (node < 0) return null;
  const toTable = stepsTo(graph, walk, node);
  const name = variableOf(toTable)?.edge ?? null;
  // A path that ends elsewhere names what leads to the map, and not the map.
  const isMap = toTable.at(-2)?.className === 'WeakMap';
  return isMap ? name : null;
}
