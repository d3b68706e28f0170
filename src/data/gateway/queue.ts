/**
 * The queue: requests that wait for a worker. Pure: it gets the time as an argument and calls
 * nobody. First in, first out in each lane; the probe lane goes first. A linked list, because
 * clients that give up leave from the middle, thousands at once.
 */
export const LANES = ['probe', 'normal'] as const;
export type Lane = (typeof LANES)[number];

/** One place in the queue; `waiting` is false before it entered and after it left. */
export interface Ticket<T> {
  readonly item: T;
  readonly lane: Lane;
  /** When it came, and when it has waited too long; milliseconds of the caller's clock. */
  readonly since: number;
  readonly deadline: number;
  /** It waited before, and its worker died. */
  readonly again: boolean;
  waiting: boolean;
  ahead: Ticket<T> | null;
  behind: Ticket<T> | null;
}

export interface Queue<T> {
  size: number;
  readonly lanes: Record<Lane, { first: Ticket<T> | null; last: Ticket<T> | null }>;
}

export function createQueue<T>(): Queue<T> {
  return {
    size: 0,
    lanes: { probe: { first: null, last: null }, normal: { first: null, last: null } },
  };
}

/** Goes to the end of its lane. Null: the queue is full (`limit` counts both lanes). */
export function enter<T>(
  queue: Queue<T>,
  item: T,
  options: {
    readonly lane: Lane;
    readonly now: number;
    readonly limit: number;
    readonly ageMs: number;
  },
): Ticket<T> | null {
  if (queue.size >= options.limit) return null;
  const { lane, now, ageMs } = options;
  const place = queue.lanes[lane];
  const ticket: Ticket<T> = {
    item,
    lane,
    since: now,
    deadline: now + ageMs,
    again: false,
    waiting: true,
    ahead: place.last,
    behind: null,
  };
  if (place.last === null) place.first = ticket;
  else place.last.behind = ticket;
  place.last = ticket;
  queue.size += 1;
  return ticket;
}

/**
 * Goes to the front of its lane: somebody whose worker died has waited before. No limit: there are
 * never more of these than requests that workers held.
 */
export function enterFirst<T>(
  queue: Queue<T>,
  item: T,
  options: { readonly lane: Lane; readonly now: number; readonly ageMs: number },
): Ticket<T> {
  const { lane, now, ageMs } = options;
  const place = queue.lanes[lane];
  // Never later than those behind: `expire` looks at the first of a lane only.
  const deadline = Math.min(now + ageMs, place.first?.deadline ?? Infinity);
  const ticket: Ticket<T> = {
    item,
    lane,
    since: now,
    deadline,
    again: true,
    waiting: true,
    ahead: null,
    behind: place.first,
  };
  if (place.first === null) place.last = ticket;
  else place.first.ahead = ticket;
  place.first = ticket;
  queue.size += 1;
  return ticket;
}

/** Takes a ticket out, wherever it stands; false if it had left already. */
export function leave<T>(queue: Queue<T>, ticket: Ticket<T>): boolean {
  if (!ticket.waiting) return false;
  const place = queue.lanes[ticket.lane];
  if (ticket.ahead === null) place.first = ticket.behind;
  else ticket.ahead.behind = ticket.behind;
  if (ticket.behind === null) place.last = ticket.ahead;
  else ticket.behind.ahead = ticket.ahead;
  ticket.waiting = false;
  ticket.ahead = null;
  ticket.behind = null;
  queue.size -= 1;
  return true;
}

/** Takes out, and returns, all who have waited too long. */
export function expire<T>(queue: Queue<T>, now: number): Ticket<T>[] {
  const late: Ticket<T>[] = [];
  for (const lane of LANES) {
    for (let first = queue.lanes[lane].first; first !== null; first = queue.lanes[lane].first) {
      if (first.deadline > now) break;
      leave(queue, first);
      late.push(first);
    }
  }
  return late;
}

/** When {@link expire} has something to do next; Infinity: never. */
export function nextDeadline<T>(queue: Queue<T>): number {
  return Math.min(...LANES.map((lane) => queue.lanes[lane].first?.deadline ?? Infinity));
}
