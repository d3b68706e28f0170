/** What the live page is told over its event stream. Types only: server and browser share them. */
import type { Status } from '../control/status.ts';
import type { RecycleReason, Told } from '../control/types.ts';

export type PageStatus = Status & {
  /** Of the last seconds; null where nothing was answered. */
  readonly latency?: { readonly p50Ms: number | null; readonly p99Ms: number | null };
};

/** One instant of the pool: what a point in the charts is made of. */
export interface PoolPoint {
  readonly treeBytes: number | null;
  readonly supervisorBytes: number | null;
  readonly requestsPerSecond: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly inFlight: number | null;
}

/** One instant of a slot: the worker that serves it. */
export interface SlotPoint {
  readonly memoryBytes: number | null;
  readonly requestsPerSecond: number | null;
}

/** The same, over time: every list is as long as `times`. */
export type Columns<Point> = { readonly [Name in keyof Point]: readonly Point[Name][] };

export interface History {
  /** Milliseconds since 1970, ascending; every 10 s at first, every second in the last minutes. */
  readonly times: readonly number[];
  readonly pool: Columns<PoolPoint>;
  readonly slots: Readonly<Record<string, Columns<SlotPoint>>>;
}

/** Something that made a line fall, or a worker disappear. */
export interface Mark {
  readonly at: number;
  readonly slot: number;
  readonly reason: RecycleReason;
}

/** `id` counts from 1 in each instance. */
export interface PageEvent {
  readonly id: number;
  readonly at: number;
  readonly told: Told;
  /** Where there are several; those of a slot are in its number. */
  readonly pool?: string;
}

/** First message of a stream (`hello`): all that is known. */
export interface Hello {
  readonly status: PageStatus;
  readonly history: History;
  readonly marks: readonly Mark[];
  readonly events: readonly PageEvent[];
}

/** Each second (`sample`). */
export interface Sample {
  readonly at: number;
  readonly status: PageStatus;
  readonly pool: PoolPoint;
  readonly slots: Readonly<Record<string, SlotPoint>>;
}

/** At once (`told`); `mark` when it is one for the charts too. */
export interface News {
  readonly event: PageEvent;
  readonly mark: Mark | null;
}
