/** Two or three snapshots of one process in, suspects out; places mapped to the sources. */
import { findChanges } from './code-lines.ts';
import type { CodeLine } from './code-lines.ts';
import { CofferdamError } from '../errors.ts';
import { findSuspects } from './heap-diff.ts';
import type { Generations, HeldThings } from './heap-diff.ts';
import type { Place } from './heap-path.ts';
import { readHeapSnapshot, readHighestId } from './heap-snapshot.ts';
import type { ReadOptions } from './heap-snapshot.ts';
import { mapToSource } from './source-map.ts';

/** Places are those of the sources, where there are maps. */
export interface Suspect extends HeldThings {
  /** Lines that put something into the variable, by their look. */
  readonly changedAt: readonly CodeLine[];
}

export interface CompareOptions extends ReadOptions {
  readonly requests: Generations['requests'];
}

/**
 * @throws CofferdamError COF_BAD_SNAPSHOT, also when the files are not of one process, in order.
 */
export async function readSnapshots(
  paths: readonly string[],
  options: CompareOptions,
): Promise<Suspect[]> {
  const [first, second, third] = paths;
  if (first === undefined || second === undefined) {
    throw new CofferdamError('COF_USAGE', 'two or three snapshots are needed');
  }
  const firstId = await readHighestId(first, options);
  const middleId = third === undefined ? null : await readHighestId(second, options);
  const last = third ?? second;
  const graph = await readHeapSnapshot(last, options);
  try {
    checkOrder(firstId, middleId, highestOf(graph.nodeId), last);
    const { requests } = options;
    const suspects = findSuspects(graph, { firstId, secondId: middleId, requests });
    return await Promise.all(suspects.map(mapPlaces));
  } finally {
    graph.close();
  }
}

// --- internal ---

function highestOf(ids: Uint32Array): number {
  let highest = 0;
  for (const id of ids) if (id % 2 === 1 && id > highest) highest = id;
  return highest;
}

function checkOrder(first: number, middle: number | null, last: number, path: string): void {
  if (last > first && (middle === null || (middle > first && last > middle))) return;
  throw new CofferdamError('COF_BAD_SNAPSHOT', `${path} is not the latest of the files`, {
    hint: 'Give snapshots of one process, oldest first.',
  });
}

async function mapPlaces(found: HeldThings): Promise<Suspect> {
  const map = async <T extends Place>(place: T): Promise<T> => ({
    ...place,
    ...(await mapToSource(place.file, place.line, place.column)),
  });
  const scope = found.reachedFrom;
  return {
    ...found,
    reachedFrom: scope === null ? null : await map(scope),
    changedAt: scope === null ? [] : await findChanges(scope.file, found.name),
    places: await Promise.all(found.places.map(map)),
  };
}
