/** The rules for each effect. A rule that is broken throws a {@link Foul}. */
import type { Effect, Outcome, PoolEvent, Told } from '../../src/control/types.ts';
import { noteFailure, type FailureSeen } from './backoff-book.ts';
import {
  adoptTrial,
  backoffOf,
  beginStop,
  createEntry,
  drainBound,
  isServing,
  REAP_MS,
  rule,
  usedBytes,
  type Book,
  type Entry,
} from './book.ts';

/** Judges one effect of `event` and writes it into the book. */
export function judge(book: Book, effect: Effect, event: PoolEvent, now: number): void {
  rule(!book.ended, `effect ${effect.type} after the end`);
  switch (effect.type) {
    case 'spawn':
      return judgeSpawn(book, effect, now);
    case 'drain':
      return judgeDrain(book, find(book, effect), now);
    case 'cut':
      return judgeCut(book, find(book, effect), effect.scope, now);
    case 'signal':
      if (effect.signal === 'SIGTERM') return judgeTerm(book, find(book, effect), now);
      return judgeKill(find(book, effect), event, now);
    case 'heal':
      return judgeHeal(book, find(book, effect), now);
    case 'tell':
      return judgeTold(book, effect.told, event, now);
    case 'finished':
      return judgeEnd(book, effect.outcome);
  }
}

// --- internal ---

function find(book: Book, effect: Extract<Effect, { worker: number }>): Entry {
  const entry = book.live.get(effect.worker);
  rule(entry !== undefined, `${effect.type} to worker ${effect.worker}, which is gone`);
  return entry;
}

function judgeSpawn(book: Book, effect: Extract<Effect, { type: 'spawn' }>, now: number): void {
  const { worker: id, slot, generation, requestLimit, epoch } = effect;
  const { surge } = book.policy;
  const isCanary = epoch === book.trial?.epoch && !book.trial.isProved;
  const { maxRequests } = (isCanary ? book.trial?.policy : null) ?? book.policy;
  rule(id > book.lastId, `worker id ${id} is used again`);
  rule(generation === (book.generations.get(slot) ?? 0) + 1, `slot ${slot} skips a generation`);
  rule(book.stopping === null, `spawn in slot ${slot} while stopping`);
  rule(slot >= 1 && slot <= book.size, `spawn in slot ${slot} of ${book.size}`);
  rule(book.everReady || slot === 1, `slot ${slot} boots before the first worker is ready`);
  rule(requestLimit <= maxRequests, `request limit ${requestLimit} of ${maxRequests}`);
  rule(maxRequests === 0 || requestLimit > 0, 'a request limit got lost');
  const early = backoffOf(book, slot).notBefore - now;
  rule(isCanary || early <= 0, `slot ${slot} spawns ${early} ms before its back-off is over`);
  const failed = [...book.live.values()].some((other) => {
    return other.slot === slot && other.readyAt === null;
  });
  rule(!failed, `slot ${slot} spawns before its failed worker is gone`);
  const places = new Set([...book.live.values()].map((entry) => entry.slot));
  const shared = places.has(slot);
  for (let wanted = 1; wanted <= book.size; wanted += 1) places.add(wanted);
  if (isCanary) judgeCanary(book, epoch);
  else judgeEpoch(book, slot, epoch);
  book.lastId = id;
  book.generations.set(slot, generation);
  book.live.set(id, createEntry({ id, slot, generation, epoch }));
  rule(!shared || surge > 0, `slot ${slot} holds two workers without any surge`);
  const most = places.size + surge;
  rule(!shared || book.live.size <= most, `${book.live.size} live workers, at most ${most}`);
}

/** One worker shows whether a configuration boots, and nobody else is born of it before. */
function judgeCanary(book: Book, epoch: number): void {
  const others = [...book.live.values()].filter(
    (other) => other.epoch === epoch && other.termAt === null && !other.killed,
  );
  rule(others.length === 0, `a second canary beside worker ${others[0]?.id}`);
}

/** Code and configuration of a generation belong together. */
function judgeEpoch(book: Book, slot: number, epoch: number): void {
  if (epoch === book.epoch) return;
  const own = book.rolling && epoch === book.slotEpochs.get(slot);
  rule(own, `slot ${slot} spawns epoch ${epoch}, but ${book.epoch} rules`);
}

function judgeDrain(book: Book, entry: Entry, now: number): void {
  const { drainTimeoutMs, longDrainTimeoutMs } = book.policy;
  rule(isServing(entry), `drain of worker ${entry.id}, which does not serve`);
  rule(!entry.silent, `drain of worker ${entry.id}, which does not hear it`);
  judgeLeaving(book, entry);
  entry.drainedAt = now;
  entry.cutAt = now + drainTimeoutMs;
  const longMs = book.stopping === null ? Math.max(longDrainTimeoutMs, drainTimeoutMs) : 0;
  entry.longCutAt = now + Math.max(longMs, drainTimeoutMs);
  entry.goneBy = drainBound(book, now, entry.longLived && book.stopping === null);
}

/** Taking a serving worker away needs a reason that costs nobody anything. */
function judgeLeaving(book: Book, entry: Entry): void {
  if (book.stopping !== null) return;
  const { id, slot, generation, silent } = entry;
  const others = [...book.live.values()].filter((other) => other !== entry && isServing(other));
  if (others.some((other) => other.slot === slot && other.generation > generation)) return;
  const alone = !silent && !others.some((other) => !other.silent);
  if (slot > book.size)
    return rule(!alone || book.size === 0, `scale-down takes the last serving worker, ${id}`);
  const recycle = book.open.get(slot);
  const told = recycle?.old === id && recycle.breakFirst;
  rule(told, `worker ${id} has to leave before its replacement is ready`);
  rule(!alone || book.size === 1, `break-first takes the last serving worker, ${id}`);
}

function judgeCut(book: Book, entry: Entry, scope: 'requests' | 'all', now: number): void {
  rule(entry.drainedAt !== null, `cut of worker ${entry.id}, which does not drain`);
  rule(entry.termAt === null, `cut of worker ${entry.id}, which has its TERM`);
  rule(entry.cut !== 'all' && entry.cut !== scope, `second cut of worker ${entry.id}`);
  if (entry.cut === 'none') rule(now >= entry.cutAt, `worker ${entry.id} is cut too early`);
  if (scope === 'all' && now < entry.longCutAt) judgeHurry(book, entry);
  entry.cut = scope;
}

/** Long-lived connections are cut before their time only if nothing else would make room. */
function judgeHurry(book: Book, entry: Entry): void {
  const olds = [...book.open.values()].map(({ old }) => book.live.get(old));
  const beside = [...book.live.values()].some((other) => {
    return other !== entry && other.slot === entry.slot;
  });
  rule(beside || olds.includes(entry), `worker ${entry.id} is hurried though it is in no way`);
  const { gate, surge } = book.policy;
  const full = olds.length >= (surge > 0 ? Math.min(gate, surge) : gate);
  const lingering = olds.every((old) => old?.cut === 'requests' && old.termAt === null);
  rule(!full || lingering, `worker ${entry.id} is hurried though others make room`);
}

function judgeTerm(book: Book, entry: Entry, now: number): void {
  rule(entry.termAt === null && !entry.killed, `second TERM to worker ${entry.id}`);
  if (isServing(entry)) {
    rule(entry.silent || entry.stuck, `TERM to worker ${entry.id}, which serves`);
    judgeLeaving(book, entry);
  }
  const { killTimeoutMs } = book.policy;
  entry.termAt = now;
  entry.killAt = now + killTimeoutMs;
  entry.goneBy = Math.min(entry.goneBy, now + killTimeoutMs + book.slackMs);
}

function judgeKill(entry: Entry, event: PoolEvent, now: number): void {
  rule(!entry.killed, `second KILL to worker ${entry.id}`);
  entry.killed = true;
  entry.goneBy = now + REAP_MS;
  if (event.type === 'stop' && event.mode === 'now') return;
  rule(entry.termAt !== null, `KILL to worker ${entry.id} without TERM`);
  const earlyMs = entry.killAt - now;
  rule(earlyMs <= 0, `KILL to worker ${entry.id} comes ${earlyMs} ms too early`);
}

function judgeTold(book: Book, told: Told, event: PoolEvent, now: number): void {
  switch (told.event) {
    case 'scaled':
      judgeScale(book, told, now);
      book.size = told.to;
      // A slot that is scaled away has nothing to replace any more.
      for (const [slot, { replaced }] of book.open) {
        if (slot > book.size && !replaced) book.open.delete(slot);
      }
      return;
    case 'canary_ready':
      return judgeProof(book, told);
    case 'reload_rolling':
      return judgeRolling(book, told, event);
    case 'reload_rolled_back':
      return judgeRollback(book, told, event);
    case 'reloaded':
      return judgeReloaded(book);
    case 'leaving':
      return rule(book.leaveAt === now + told.delayMs, `leaving in ${told.delayMs} ms`);
    case 'stopping':
      if (told.mode === 'now' || book.leaveAt === null) return;
      rule(now >= book.leaveAt, `stopping ${book.leaveAt - now} ms before the delay is over`);
      return beginStop(book, told.mode, now);
    case 'over_budget':
    case 'within_budget':
      book.overBudget = told.event === 'over_budget';
      return;
    case 'unresponsive':
      for (const entry of book.live.values()) {
        if (entry.slot === told.slot && isServing(entry)) entry.silent = true;
      }
      return;
    case 'recycle_started':
      return judgeRecycle(book, told, now);
    case 'recycled':
      rule(book.open.get(told.slot)?.replaced === true, `slot ${told.slot} is not replaced yet`);
      book.open.delete(told.slot);
      book.recycled += 1;
      return;
    case 'recycle_postponed':
      return rule(book.open.delete(told.slot), `nothing to postpone in slot ${told.slot}`);
    case 'boot_failed':
      book.bootFailed += 1;
      return judgeBootFailure(book, told, event, now);
    case 'worker_crashed':
      book.crashed += 1;
      return judgeCrash(book, told, event, now);
    default:
  }
}

function judgeScale(book: Book, told: Extract<Told, { event: 'scaled' }>, now: number): void {
  const { from, to, why } = told;
  const { strategy, idleTimeoutMs, workersMin, workersMax } = book.policy;
  rule(from === book.size && from !== to, `scaled from ${from}, not ${book.size}`);
  rule(to <= Math.max(workersMax, from), `scaled to ${to} of ${workersMax}`);
  const few = strategy === 'ondemand' ? 0 : Math.min(workersMin, from);
  const least = why === 'memory' ? 1 : few;
  rule(to >= least, `scaled to ${to}, at least ${least}`);
  if (to > from) {
    book.raisedAt = now;
    if (why === 'demand') judgeGrowth(book, from, to);
    return;
  }
  if (why !== 'idle') return;
  rule(strategy !== 'static', 'a static pool scales by itself');
  rule(now - book.raisedAt >= idleTimeoutMs, `scaled down ${now - book.raisedAt} ms after up`);
  rule(now - book.shrunkAt >= SHRINK_MS && from - to === 1, `shrinks in a hurry: ${from} to ${to}`);
  book.shrunkAt = now;
}

/** Its first worker serves, and nobody follows it yet. */
function judgeProof(book: Book, { epoch }: Extract<Told, { event: 'canary_ready' }>): void {
  const { trial } = book;
  rule(trial?.epoch === epoch && trial.isJoint, `epoch ${epoch} is on no joint trial`);
  rule(!trial.isProved, `epoch ${epoch} is proved twice`);
  rule(hasServing(book, epoch), 'proved without a canary that serves');
  book.trial = { ...trial, isProved: true };
  book.proved.add(epoch);
}

/** By itself a pool never grows above its budget; one worker there has to be. */
function judgeGrowth(book: Book, from: number, to: number): void {
  const { budgetBytes } = book.policy;
  const bytes = usedBytes(book) + (to - from) * book.floorBytes;
  const fits = budgetBytes === 0 || to === 1 || bytes <= budgetBytes;
  rule(fits, `scaled from ${from} to ${to}: ${bytes} bytes of ${budgetBytes}`);
}

function judgeRolling(
  book: Book,
  told: Extract<Told, { event: 'reload_rolling' }>,
  event: PoolEvent,
): void {
  const { trial } = book;
  rule(trial?.epoch === told.epoch, `epoch ${told.epoch} is not on trial`);
  if (trial.isJoint) {
    rule(trial.isProved, `epoch ${told.epoch} rolls without proof`);
    const isTold = event.type === 'commit' && event.epoch === told.epoch;
    rule(isTold, `epoch ${told.epoch} rolls before the other pools have passed`);
  } else rule(hasServing(book, told.epoch), 'rolls without a canary that serves');
  adoptTrial(book, trial);
}

function hasServing(book: Book, epoch: number): boolean {
  return [...book.live.values()].some((entry) => entry.epoch === epoch && isServing(entry));
}

function judgeRollback(
  book: Book,
  told: Extract<Told, { event: 'reload_rolled_back' }>,
  event: PoolEvent,
): void {
  const { epoch, slot } = told;
  const isNewer = event.type === 'reload';
  rule(isNewer || book.trial?.epoch === epoch, `epoch ${epoch} is not on trial`);
  const isAsked = isNewer || event.type === 'stop' || event.type === 'roll_back';
  rule(isAsked || book.trial?.isProved !== true, `epoch ${epoch} was proved, and is taken back`);
  if (!isNewer) book.trial = null;
  if (!isAsked) book.bootFailed += 1;
  for (const [at, own] of book.slotEpochs) if (own === epoch) book.slotEpochs.set(at, book.epoch);
  // Whoever was proved is replaced like anybody else, and that goes on.
  if (slot === null || book.proved.has(epoch)) return;
  if (book.open.get(slot)?.replaced === false) book.open.delete(slot);
}

function judgeReloaded(book: Book): void {
  rule(book.rolling, 'reloaded without a roll');
  book.rolling = false;
  for (let slot = 1; slot <= book.size; slot += 1) {
    const serves = [...book.live.values()].some(
      (entry) => entry.slot === slot && entry.epoch === book.epoch && isServing(entry),
    );
    rule(serves, `reloaded, but nobody of epoch ${book.epoch} serves in slot ${slot}`);
  }
}

function judgeRecycle(
  book: Book,
  told: Extract<Told, { event: 'recycle_started' }>,
  now: number,
): void {
  const { slot, generation, breakFirst, reason } = told;
  const { surge, gate } = book.policy;
  const old = [...book.live.values()].find(
    (entry) => entry.slot === slot && entry.generation === generation,
  );
  rule(old !== undefined && isServing(old), `recycle in slot ${slot}, where nobody serves`);
  rule(!book.open.has(slot), `second recycle of slot ${slot} at once`);
  const broken = reason === 'budget' && book.overBudget;
  const urgent = ['unresponsive', 'request_timeout', 'max_memory'].includes(reason) || broken;
  const trouble = [...book.backoff.values()].some(({ notBefore }) => notBefore > now);
  const isCanary = reason === 'reload' && book.trial !== null;
  rule(urgent || isCanary || !trouble, `recycle of slot ${slot} while another one backs off`);
  const { budgetBytes } = book.policy;
  const room = budgetBytes === 0 || usedBytes(book) + book.floorBytes <= budgetBytes;
  rule(breakFirst === (surge === 0 || !room), `slot ${slot}: breakFirst is ${breakFirst}`);
  judgeAge(book, old, reason, now);
  book.open.set(slot, { old: old.id, breakFirst, replaced: false });
  const most = surge > 0 ? Math.min(gate, surge) : gate;
  rule(book.open.size <= most, `${book.open.size} recycles at once, the gate is ${most}`);
}

/** A recycle must not trigger the next: only the hard limit replaces what is so young. */
function judgeAge(book: Book, entry: Entry, reason: string, now: number): void {
  const { maxMemoryBytes, minAgeMs } = book.policy;
  if (!['max_memory', 'predicted', 'budget'].includes(reason)) return;
  if (reason === 'max_memory' && entry.memoryBytes >= maxMemoryBytes) return;
  const ageMs = now - (entry.readyAt ?? now);
  rule(ageMs >= minAgeMs, `worker ${entry.id} is replaced for ${reason} after ${ageMs} ms`);
}

function judgeHeal(book: Book, entry: Entry, now: number): void {
  const other = book.heals === null ? undefined : book.live.get(book.heals.worker);
  const waits = other !== undefined && now < (book.heals?.until ?? 0);
  rule(!waits, `worker ${entry.id} heals beside another one`);
  rule(isServing(entry) && !book.open.has(entry.slot), `heal of worker ${entry.id}, which leaves`);
  book.heals = { worker: entry.id, until: now + HEAL_MS };
}

function judgeBootFailure(
  book: Book,
  told: Extract<Told, { event: 'boot_failed' }>,
  event: PoolEvent,
  now: number,
): void {
  const { slot, retryInMs } = told;
  const serving = [...book.live.values()].find((entry) => entry.slot === slot && isServing(entry));
  judgeFailure(book, slot, {
    now,
    kind: 'boot',
    healthySince: serving?.readyAt ?? null,
    free:
      event.type === 'boot_failed' &&
      event.retryAtOnce &&
      book.live.get(event.worker)?.slot === slot,
    retryInMs,
  });
}

function judgeCrash(
  book: Book,
  told: Extract<Told, { event: 'worker_crashed' }>,
  event: PoolEvent,
  now: number,
): void {
  const { slot, retryInMs } = told;
  const entry = book.lastExit;
  rule(entry?.slot === slot && entry.readyAt !== null, `slot ${slot}: nobody crashed`);
  rule(entry.termAt === null && !entry.killed, `the exit of worker ${entry.id} was asked for`);
  const leaving = entry.drainedAt !== null && event.type !== 'disconnected';
  if (leaving) return rule(retryInMs === 0, 'a leaving worker delays its slot');
  const healthySince = entry.readyAt;
  judgeFailure(book, slot, { now, kind: 'crash', healthySince, free: false, retryInMs });
}

function judgeFailure(book: Book, slot: number, seen: FailureSeen): void {
  const wrong = noteFailure(backoffOf(book, slot), seen);
  rule(wrong === null, `slot ${slot}: ${wrong}`);
}

function judgeEnd(book: Book, outcome: Outcome): void {
  book.ended = true;
  rule(book.live.size === 0, `finished with ${book.live.size} workers left running`);
  if (outcome.type === 'never_booted') {
    return rule(!book.everReady, 'never booted, but a worker was ready');
  }
  rule(book.stopping !== null, `finished as ${outcome.type} without a stop`);
  if (book.stopping === 'now') return rule(outcome.type === 'stopped', 'late, but asked for');
  const killed = outcome.type === 'stopped_late' ? outcome.killed : 0;
  rule(killed === book.killed, `${killed} workers killed, not ${book.killed}`);
}

/** SHRINK_MS of the scaling, written out again. */
const SHRINK_MS = 1000;
/** Nobody waits longer for the word of a worker that heals. */
const HEAL_MS = 10_000;
