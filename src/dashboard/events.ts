/** The last events, and the marks that they leave on the charts; both bounded. */
import type { RecycleReason, Told } from '../control/types.ts';
import type { Mark, PageEvent } from './wire.ts';

/** What a person scrolls through; about 400 bytes each. */
export const EVENTS_MAX = 300;
/** A recycle every 3.5 s for an hour; about 60 bytes each. */
export const MARKS_MAX = 1024;
/** A crash tells its last stderr lines, and those may be long. */
const TEXT_MAX = 400;

export interface EventLog {
  /** `at`: milliseconds since 1970. */
  add(
    at: number,
    told: Told,
    pool?: string,
  ): { readonly event: PageEvent; readonly mark: Mark | null };
  events(): readonly PageEvent[];
  marks(): readonly Mark[];
}

export function createEventLog(): EventLog {
  const events: PageEvent[] = [];
  const marks: Mark[] = [];
  const pending = new Map<number, RecycleReason>();
  let id = 0;
  return {
    add(at, told, pool) {
      id += 1;
      const whose = pool === undefined ? {} : { pool };
      const event: PageEvent = { id, at, told: shorten(told), ...whose };
      const mark = markOf(at, told, pending);
      keep(events, event, EVENTS_MAX);
      if (mark !== null) keep(marks, mark, MARKS_MAX);
      return { event, mark };
    },
    events: () => events,
    marks: () => marks,
  };
}

// --- internal ---

/**
 * A planned recycle is marked where the line falls, which is when the replacement begins to serve,
 * not when the old worker, perhaps much later, is gone.
 */
function markOf(at: number, told: Told, pending: Map<number, RecycleReason>): Mark | null {
  switch (told.event) {
    case 'recycle_started':
      pending.set(told.slot, told.reason);
      return null;
    case 'worker_ready': {
      const reason = pending.get(told.slot);
      pending.delete(told.slot);
      return reason === undefined ? null : { at, slot: told.slot, reason };
    }
    case 'worker_crashed':
      return { at, slot: told.slot, reason: 'crash' };
    case 'boot_failed':
      return { at, slot: told.slot, reason: 'boot_failure' };
    default:
      return null;
  }
}

function shorten(told: Told): Told {
  if (!Object.values(told).some((value) => isLong(value))) return told;
  const entries = Object.entries(told).map(([name, value]: [string, unknown]) => [
    name,
    isLong(value) ? `${value.slice(0, TEXT_MAX)}…` : value,
  ]);
  return Object.fromEntries(entries) as Told;
}

function isLong(value: unknown): value is string {
  return typeof value === 'string' && value.length > TEXT_MAX;
}

function keep<Item>(list: Item[], item: Item, max: number): void {
  list.push(item);
  if (list.length > max) list.shift();
}
