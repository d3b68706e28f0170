/** What the page knows: an hour of columns, marks and events, merged from the stream's messages. */
import type {
  Columns,
  Hello,
  Mark,
  News,
  PageEvent,
  PageStatus,
  PoolPoint,
  Sample,
  SlotPoint,
} from '../wire.ts';

export const HOUR_MS = 3_600_000;
const EVENTS_MAX = 300;

type Lists<Point> = { readonly [Name in keyof Point]: Point[Name][] };

export interface Store {
  readonly status: PageStatus | null;
  readonly times: readonly number[];
  readonly pool: Columns<PoolPoint>;
  readonly slots: ReadonlyMap<number, Columns<SlotPoint>>;
  readonly marks: readonly Mark[];
  /** Oldest first. */
  readonly events: readonly PageEvent[];
  greet(hello: Hello): void;
  add(sample: Sample): void;
  hear(news: News): void;
}

export function createStore(): Store {
  let status: PageStatus | null = null;
  let times: number[] = [];
  let pool = emptyPool();
  let slots = new Map<number, Lists<SlotPoint>>();
  let marks: Mark[] = [];
  let events: PageEvent[] = [];

  const cut = (from: number, to: number): void => {
    times = times.slice(from, to);
    pool = mapLists(pool, (list) => list.slice(from, to));
    slots = new Map(
      [...slots].map(([slot, lists]) => [slot, mapLists(lists, (list) => list.slice(from, to))]),
    );
  };
  const slotLists = (slot: number, length: number): Lists<SlotPoint> => {
    const known = slots.get(slot);
    if (known !== undefined) return known;
    const empty = emptySlot(length);
    slots.set(slot, empty);
    return empty;
  };
  return {
    get status() {
      return status;
    },
    get times() {
      return times;
    },
    get pool() {
      return pool;
    },
    get slots() {
      return slots;
    },
    get marks() {
      return marks;
    },
    get events() {
      return events;
    },
    /** What is older than the instance's own history stays: a restart leaves a gap, not a void. */
    greet(hello) {
      const { history } = hello;
      const from = history.times[0] ?? Infinity;
      const isSame = status !== null && status.pid === hello.status.pid;
      const older = times.findIndex((at) => at >= from);
      if (older >= 0) cut(0, older);
      const before = times.length;
      times.push(...history.times);
      appendLists(pool, history.pool);
      for (const [slot, columns] of Object.entries(history.slots)) {
        appendLists(slotLists(Number(slot), before), columns);
      }
      for (const lists of slots.values()) fillUp(lists, times.length);
      const past = isSame ? [] : marks.filter(({ at }) => at < from);
      marks = [...past, ...hello.marks];
      const pastEvents = isSame ? [] : events.filter(({ at }) => at < from);
      events = [...pastEvents, ...hello.events].slice(-EVENTS_MAX);
      status = hello.status;
    },
    add({ at, status: now, pool: point, slots: points }) {
      const last = times.at(-1);
      if (last !== undefined && at <= last) return;
      status = now;
      const before = times.length;
      times.push(at);
      appendPoint(pool, point);
      for (const [slot, each] of Object.entries(points)) {
        appendPoint(slotLists(Number(slot), before), each);
      }
      for (const lists of slots.values()) fillUp(lists, times.length);
      const late = times.findIndex((time) => time >= at - HOUR_MS);
      // Not every second: to copy every column for one point is a waste.
      if (late > 60) cut(late, times.length);
      if ((marks[0]?.at ?? at) < at - HOUR_MS) {
        marks = marks.filter((mark) => mark.at >= at - HOUR_MS);
      }
    },
    hear({ event, mark }) {
      if (events.some(({ id, at }) => id === event.id && at === event.at)) return;
      events = [...events, event].slice(-EVENTS_MAX);
      if (mark !== null) marks = [...marks, mark];
    },
  };
}

// --- internal ---

function emptyPool(): Lists<PoolPoint> {
  return {
    treeBytes: [],
    supervisorBytes: [],
    requestsPerSecond: [],
    p50Ms: [],
    p99Ms: [],
    inFlight: [],
  };
}

function emptySlot(length: number): Lists<SlotPoint> {
  const unknown = (): null[] => Array.from({ length }, () => null);
  return { memoryBytes: unknown(), requestsPerSecond: unknown() };
}

type AnyList = (number | null)[];

function mapLists<Point>(lists: Lists<Point>, change: (list: AnyList) => AnyList): Lists<Point> {
  const entries = Object.entries(lists).map(([name, list]) => [name, change(list as AnyList)]);
  return Object.fromEntries(entries) as Lists<Point>;
}

function appendLists<Point>(lists: Lists<Point>, columns: Columns<Point>): void {
  for (const name of Object.keys(lists) as (keyof Point)[]) lists[name].push(...columns[name]);
}

function appendPoint<Point>(lists: Lists<Point>, point: Point): void {
  for (const name of Object.keys(lists) as (keyof Point)[]) lists[name].push(point[name]);
}

/** A slot that says nothing has no worker. */
function fillUp(lists: Lists<SlotPoint>, length: number): void {
  for (const list of Object.values<AnyList>(lists)) while (list.length < length) list.push(null);
}
