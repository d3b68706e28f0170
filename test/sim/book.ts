/**
 * The referee's book: the pool as seen from outside. Made from events and effects only, so that a
 * fault in control's own book shows up as a difference.
 */
import type { Policy, PoolEvent, WorkerId } from '../../src/control/types.ts';
import { createSlotBackoff, type SlotBackoff } from './backoff-book.ts';

/** A rule that was broken; the message says which one. */
export class Foul extends Error {}

export function rule(holds: boolean, text: string): asserts holds {
  if (!holds) throw new Foul(text);
}

export interface Entry {
  readonly id: WorkerId;
  readonly slot: number;
  readonly generation: number;
  readonly epoch: number;
  readyAt: number | null;
  silent: boolean;
  /** A request of it ran past its deadline. */
  stuck: boolean;
  longLived: boolean;
  memoryBytes: number;
  /** First sample since it was ready. */
  floorBytes: number | null;
  drainedAt: number | null;
  cut: 'none' | 'requests' | 'all';
  /** Requests may not be cut earlier. */
  cutAt: number;
  /** Long-lived connections may not be cut earlier, unless something urgent waits for it. */
  longCutAt: number;
  /** By then it has to be gone, once it drains or was told to leave. */
  goneBy: number;
  termAt: number | null;
  /** KILL may not come earlier. */
  killAt: number;
  killed: boolean;
}

export interface Book {
  policy: Policy;
  /** The configuration that rules, reloads so far, and the one that is on trial. */
  epoch: number;
  reloads: number;
  trial: {
    readonly epoch: number;
    readonly policy: Policy;
    /** Other pools have a say in it, too. */
    readonly isJoint: boolean;
    /** Its first worker was ready. */
    readonly isProved: boolean;
  } | null;
  /** Configurations whose first worker was ready while other pools still tried. */
  readonly proved: Set<number>;
  /** The trial is over, and the others follow. */
  rolling: boolean;
  /** Configuration of the last worker of a slot that was ready. */
  readonly slotEpochs: Map<number, number>;
  /** Requests that wait. */
  waiting: number;
  /** When the number of slots was raised last, and when it was lowered for want of work. */
  raisedAt: number;
  shrunkAt: number;
  size: number;
  readonly slackMs: number;
  readonly live: Map<WorkerId, Entry>;
  readonly generations: Map<number, number>;
  /** Recycles under way, by slot. */
  readonly open: Map<number, { old: WorkerId; breakFirst: boolean; replaced: boolean }>;
  readonly backoff: Map<number, SlotBackoff>;
  /** The worker whose exit is being dealt with. */
  lastExit: Entry | null;
  lastId: WorkerId;
  everReady: boolean;
  stopping: 'graceful' | 'now' | null;
  /** A graceful stop was announced for then: until it is told, all goes on as before. */
  leaveAt: number | null;
  stopBy: number;
  ended: boolean;
  /** Memory in use beside the workers. */
  overheadBytes: number;
  /** Largest floor of this configuration. */
  floorBytes: number;
  /** The last word on the budget was that it is exceeded. */
  overBudget: boolean;
  /** The worker that collects its garbage. */
  heals: { readonly worker: WorkerId; until: number } | null;
  crashed: number;
  bootFailed: number;
  recycled: number;
  /** Workers that were killed and left since the stop began. */
  killed: number;
}

/** Timers may fire this late at most, and each stage of a ladder may be late once. */
const STAGES_MAX = 5;
/** A killed process is gone so soon. */
export const REAP_MS = 50;
/** CUT_GRACE_MS, written out again so that a change there is noticed. */
const GRACE_MS = 1000;

export function createBook(policy: Policy, latenessMs: number): Book {
  return {
    policy,
    epoch: 0,
    reloads: 0,
    trial: null,
    proved: new Set(),
    rolling: false,
    slotEpochs: new Map(),
    waiting: 0,
    raisedAt: -Infinity,
    shrunkAt: -Infinity,
    size: policy.workers,
    slackMs: STAGES_MAX * latenessMs + REAP_MS,
    live: new Map(),
    generations: new Map(),
    open: new Map(),
    backoff: new Map(),
    lastExit: null,
    lastId: 0,
    everReady: false,
    stopping: null,
    leaveAt: null,
    stopBy: Infinity,
    ended: false,
    overheadBytes: 0,
    floorBytes: 0,
    overBudget: false,
    heals: null,
    crashed: 0,
    bootFailed: 0,
    recycled: 0,
    killed: 0,
  };
}

export function createEntry(birth: Pick<Entry, 'id' | 'slot' | 'generation' | 'epoch'>): Entry {
  return {
    ...birth,
    readyAt: null,
    silent: false,
    stuck: false,
    longLived: false,
    memoryBytes: 0,
    floorBytes: null,
    drainedAt: null,
    cut: 'none',
    cutAt: Infinity,
    longCutAt: Infinity,
    goneBy: Infinity,
    termAt: null,
    killAt: Infinity,
    killed: false,
  };
}

export function isServing(entry: Entry): boolean {
  return (
    entry.readyAt !== null && entry.drainedAt === null && entry.termAt === null && !entry.killed
  );
}

/** What is in use; a worker that was not sampled yet will need as much as others did. */
export function usedBytes(book: Book): number {
  let sum = book.overheadBytes;
  for (const { memoryBytes, floorBytes } of book.live.values()) {
    sum += Math.max(memoryBytes, floorBytes === null ? book.floorBytes : 0);
  }
  return sum;
}

export function backoffOf(book: Book, slot: number): SlotBackoff {
  const backoff = book.backoff.get(slot) ?? createSlotBackoff();
  book.backoff.set(slot, backoff);
  return backoff;
}

/** The latest moment at which a drain that began at `at` may end. */
export function drainBound(book: Book, at: number, longLived: boolean): number {
  const { drainTimeoutMs, longDrainTimeoutMs } = book.policy;
  const most = longLived ? Math.max(longDrainTimeoutMs, drainTimeoutMs) : drainTimeoutMs;
  return at + most + ladderMs(book.policy) + book.slackMs;
}

/** Notes what control is about to be told. */
export function hear(book: Book, event: PoolEvent, now: number): void {
  switch (event.type) {
    case 'reload':
      return hearReload(book, event.policy, event.isJoint === true);
    case 'demand':
      if (Number.isFinite(event.waiting)) book.waiting = Math.max(0, event.waiting);
      return;
    case 'stop':
      return hearStop(book, event.mode, now);
    case 'suspended':
      return hearSuspended(book, event.gapMs);
    case 'ready':
      return hearReady(book, book.live.get(event.worker), now);
    case 'report':
      return hearReport(book, book.live.get(event.worker), event.report.longLived > 0);
    case 'exited':
      return hearExit(book, book.live.get(event.worker));
    case 'sample':
      return hearSample(book, book.live.get(event.worker), event.memoryBytes);
    case 'healed':
      if (book.heals?.worker !== event.worker) return;
      book.heals = null;
      return hearSample(book, book.live.get(event.worker), event.memoryBytes);
    case 'overdue': {
      const entry = book.live.get(event.worker);
      if (entry !== undefined) entry.stuck = true;
      return;
    }
    case 'overhead':
      book.overheadBytes = event.bytes;
      return;
    case 'disconnected':
      return hearDisconnect(book, book.live.get(event.worker), now);
    default:
  }
}

/** From now on everybody leaves, and sooner than before. */
export function beginStop(book: Book, mode: 'graceful' | 'now', now: number): void {
  const { drainTimeoutMs, killTimeoutMs } = book.policy;
  book.stopping = mode;
  for (const entry of book.live.values()) {
    entry.cutAt = Math.min(entry.cutAt, now + drainTimeoutMs);
    entry.longCutAt = Math.min(entry.longCutAt, now + drainTimeoutMs);
    if (entry.termAt !== null) entry.killAt = Math.min(entry.killAt, now + killTimeoutMs);
  }
}

/** From now on this configuration rules. */
export function adoptTrial(book: Book, { epoch, policy }: NonNullable<Book['trial']>): void {
  // What a worker meets later on its way out has the timeouts of the new policy.
  const longerMs = Math.max(0, ladderMs(policy) - ladderMs(book.policy));
  for (const entry of book.live.values()) if (entry.termAt === null) entry.goneBy += longerMs;
  book.policy = policy;
  book.epoch = epoch;
  book.trial = null;
  book.rolling = true;
  book.floorBytes = 0;
  for (const entry of book.live.values()) {
    // Its first worker was sampled already if it waited for those of other pools.
    if (entry.epoch === epoch) book.floorBytes = Math.max(book.floorBytes, entry.floorBytes ?? 0);
  }
  book.backoff.clear();
}

// --- internal ---

/** From the deadline of a drain to KILL. */
function ladderMs({ killTimeoutMs }: Policy): number {
  return Math.min(GRACE_MS, killTimeoutMs) + killTimeoutMs;
}

/** Before anything served a configuration rules at once; later its first worker has to boot. */
function hearReload(book: Book, policy: Policy, isJoint: boolean): void {
  if (book.stopping !== null || book.leaveAt !== null) return;
  book.reloads += 1;
  const trial = { epoch: book.reloads, policy, isJoint, isProved: false };
  if (book.everReady || isJoint) book.trial = trial;
  else adoptTrial(book, trial);
}

function hearStop(book: Book, mode: 'graceful' | 'now', now: number): void {
  const { drainTimeoutMs, killTimeoutMs, shutdownDelayMs } = book.policy;
  if (book.stopping === 'now' || book.stopping === mode) return;
  const graceMs = drainTimeoutMs + 2 * killTimeoutMs + book.slackMs;
  if (mode === 'now') book.stopBy = Math.min(book.stopBy, now + book.slackMs);
  else if (book.leaveAt !== null) return;
  else if (shutdownDelayMs > 0 && book.everReady) {
    book.leaveAt = now + shutdownDelayMs;
    book.stopBy = book.leaveAt + graceMs;
    return;
  } else book.stopBy = now + graceMs;
  beginStop(book, mode, now);
}

function hearSuspended(book: Book, gapMs: number): void {
  book.stopBy += gapMs;
  book.raisedAt += gapMs;
  book.shrunkAt += gapMs;
  for (const backoff of book.backoff.values()) backoff.notBefore += gapMs;
  if (book.heals !== null) book.heals.until += gapMs;
  for (const entry of book.live.values()) {
    entry.goneBy += gapMs;
    entry.killAt += gapMs;
    entry.cutAt += gapMs;
    entry.longCutAt += gapMs;
    if (entry.drainedAt !== null) entry.drainedAt += gapMs;
  }
}

function hearReady(book: Book, entry: Entry | undefined, now: number): void {
  if (entry === undefined || entry.readyAt !== null || entry.termAt !== null || entry.killed)
    return;
  entry.readyAt = now;
  book.slotEpochs.set(entry.slot, entry.epoch);
  book.everReady = true;
  backoffOf(book, entry.slot).freeInARow = 0;
  const recycle = book.open.get(entry.slot);
  if (recycle !== undefined) recycle.replaced = true;
}

function hearReport(book: Book, entry: Entry | undefined, longLived: boolean): void {
  if (entry === undefined) return;
  entry.silent = false;
  entry.longLived = longLived;
  // It may have become long-lived after the drain began; then the long deadline holds.
  if (!longLived || entry.drainedAt === null || entry.termAt !== null) return;
  if (entry.cut === 'all') return;
  entry.goneBy = Math.max(entry.goneBy, entry.longCutAt + ladderMs(book.policy) + book.slackMs);
}

function hearExit(book: Book, entry: Entry | undefined): void {
  book.lastExit = entry ?? null;
  if (entry === undefined) return;
  book.live.delete(entry.id);
  if (book.stopping !== null && entry.killed) book.killed += 1;
  if (book.open.get(entry.slot)?.old === entry.id && isServing(entry)) book.open.delete(entry.slot);
}

function hearSample(book: Book, entry: Entry | undefined, memoryBytes: number): void {
  if (entry === undefined) return;
  entry.memoryBytes = memoryBytes;
  if (entry.floorBytes !== null || !isServing(entry)) return;
  entry.floorBytes = memoryBytes;
  book.floorBytes = Math.max(book.floorBytes, memoryBytes);
}

/** Nobody can lead it any more: it counts as crashed, and has one drain timeout to leave. */
function hearDisconnect(book: Book, entry: Entry | undefined, now: number): void {
  if (entry === undefined || !isServing(entry)) return;
  book.lastExit = entry;
  if (book.open.get(entry.slot)?.old === entry.id) book.open.delete(entry.slot);
  entry.drainedAt = now;
  entry.cutAt = now + book.policy.drainTimeoutMs;
  entry.longCutAt = entry.cutAt;
  entry.goneBy = drainBound(book, now, false);
}
