/**
 * What comes and goes with each request, in no order: a plain array. A `Set` makes a new table
 * every few changes, and V8's dead tables hold on to the next ones: once one lies in the old
 * generation, all that follow are kept until its next major collection, requests and all.
 */

export type Bag<T> = T[];

/** A look through all of them; a worker holds tens, and thousands only where they stay for long. */
export function takeOut<T>(bag: Bag<T>, item: T): void {
  const at = bag.lastIndexOf(item);
  if (at === -1) return;
  const last = bag.pop()!;
  if (at < bag.length) bag[at] = last;
}
