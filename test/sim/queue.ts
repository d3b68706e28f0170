/**
 * What will happen and when, in whole milliseconds: a binary heap, ties in the order in which they
 * were added.
 */

export interface Queue {
  readonly add: (at: number, run: () => void) => void;
  /** Time of the next entry, or null. */
  readonly nextAt: () => number | null;
  readonly take: () => () => void;
}

export function createQueue(): Queue {
  const heap: Entry[] = [];
  let order = 0;
  return {
    add(at, run) {
      order += 1;
      heap.push({ at: Math.ceil(at), order, run });
      siftUp(heap);
    },
    nextAt: () => heap[0]?.at ?? null,
    take() {
      const first = heap[0];
      const last = heap.pop();
      if (first === undefined || last === undefined) throw new Error('the queue is empty');
      if (heap.length > 0) {
        heap[0] = last;
        siftDown(heap);
      }
      return first.run;
    },
  };
}

// --- internal ---

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

function before(a: Entry | undefined, b: Entry | undefined): boolean {
  if (a === undefined || b === undefined) return a !== undefined;
  return a.at === b.at ? a.order < b.order : a.at < b.at;
}

function swap(heap: Entry[], i: number, j: number): void {
  const [a, b] = [heap[i], heap[j]];
  if (a === undefined || b === undefined) return;
  heap[i] = b;
  heap[j] = a;
}

function siftUp(heap: Entry[]): void {
  let at = heap.length - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(heap[at], heap[parent])) return;
    swap(heap, at, parent);
    at = parent;
  }
}

function siftDown(heap: Entry[]): void {
  let at = 0;
  for (;;) {
    const left = 2 * at + 1;
    const child = before(heap[left + 1], heap[left]) ? left + 1 : left;
    if (!before(heap[child], heap[at])) return;
    swap(heap, at, child);
    at = child;
  }
}
