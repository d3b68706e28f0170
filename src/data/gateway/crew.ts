/**
 * The life of the workers behind the gateway, as the supervisor orders it: connect and warm up,
 * serve, drain, be cut, be gone.
 */
import { connect as openSocket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { pump, type Dispatch } from './dispatch.ts';
import type { Door } from './door.ts';
import { mayBecomeLongLived, type Job } from './job.ts';
import type { FromGateway, ToGateway, UpstreamId } from './messages.ts';
import { createMember, hasPlace, reportOf, type Member, type Rotation } from './rotation.ts';
import type { Upstream, UpstreamAddress } from './types.ts';

export type WorkerOrder = ToGateway & { type: 'worker' };

export interface Crew {
  readonly rotation: Rotation<Job>;
  readonly dispatch: () => Dispatch;
  readonly door: () => Door;
  readonly tell: (message: FromGateway) => void;
  readonly createUpstream: (order: WorkerOrder) => Upstream;
}

/** A process was started: connect until it answers. What we know already is not added again. */
export function addWorker(crew: Crew, order: WorkerOrder): void {
  const { worker: id, slot, concurrency, requestLimit, noticeAt, reserved } = order;
  if (crew.rotation.members.has(id)) return;
  const upstream = crew.createUpstream(order);
  const limits = { concurrency, requestLimit, noticeAt };
  const member = createMember<Job>({ id, slot, ...limits, reserved, upstream });
  crew.rotation.members.set(id, member);
  orders.set(member, order);
  void bringUp(crew, member);
}

/** A request failed on it: out of rotation until it can be connected to again. */
export function suspectWorker(crew: Crew, member: Member<Job>): void {
  if (member.phase !== 'serving') return;
  member.phase = 'connecting';
  // A process that dies may accept for a moment after it has broken its connection.
  setTimeout(() => void bringUp(crew, member), FIRST_PAUSE_MS);
}

export function drainWorker(crew: Crew, id: UpstreamId): void {
  const member = crew.rotation.members.get(id);
  if (member === undefined) {
    crew.tell({ type: 'settled', worker: id });
    const result = { moved: 0, cutRequests: 0, cutLongLived: 0 };
    return crew.tell({ type: 'drained', worker: id, result });
  }
  member.phase = 'draining';
  for (const ask of member.asks.splice(0)) ask.abort('cut');
  noteFreed(crew, member);
}

/**
 * Called whenever one of its requests is over, or has become a long-lived one. An app says goodbye
 * once, to those that it knows: an upgrade on its way to it would miss that.
 */
export function noteSettled(crew: Crew, member: Member<Job>): void {
  if (member.phase !== 'draining' || settled.has(member)) return;
  if (member.jobs.some(mayBecomeLongLived)) return;
  settled.add(member);
  crew.tell({ type: 'settled', worker: member.id });
}

/** Called whenever a worker holds one request less. */
export function noteFreed(crew: Crew, member: Member<Job>): void {
  noteSettled(crew, member);
  if (member.jobs.length > 0) return;
  if (member.phase !== 'draining' && member.phase !== 'spent') return;
  member.upstream.release();
  if (member.phase !== 'draining' || drained.has(member)) return;
  drained.add(member);
  const { cutRequests, cutLongLived } = member;
  crew.tell({
    type: 'drained',
    worker: member.id,
    result: { moved: 0, cutRequests, cutLongLived },
  });
}

export function cutWorker(crew: Crew, id: UpstreamId, scope: 'requests' | 'all'): void {
  const member = crew.rotation.members.get(id);
  for (const job of member?.jobs.slice() ?? []) {
    if (job.isLongLived && scope !== 'all') continue;
    if (job.isLongLived) member!.cutLongLived += 1;
    else member!.cutRequests += 1;
    job.abort('cut');
  }
}

export function forgetWorker(crew: Crew, id: UpstreamId): void {
  const member = crew.rotation.members.get(id);
  if (member === undefined) return;
  crew.rotation.members.delete(id);
  member.phase = 'gone';
  for (const ask of member.asks.splice(0)) ask.abort('cut');
  member.upstream.destroy();
}

export function reportWorkers(crew: Crew): void {
  const { watched } = crew.dispatch().settings();
  for (const member of crew.rotation.members.values()) {
    member.silent = watched && isSilent(member);
    // A report is a sign of life: without one the supervisor's patience begins to run out.
    if (!member.silent) crew.tell({ type: 'report', worker: member.id, report: reportOf(member) });
  }
}

// --- internal ---

const orders = new WeakMap<Member<Job>, WorkerOrder>();
const drained = new WeakSet<Member<Job>>();
const settled = new WeakSet<Member<Job>>();

/** A worker that boots is asked again after this long, then ever more rarely. */
const FIRST_PAUSE_MS = 10;
const LAST_PAUSE_MS = 250;
/** The supervisor's boot timeout ends a warm-up that hangs; this is for one that forgot. */
const WARM_UP_MS = 600_000;

/** It was reached once, and cannot be now; or it holds requests and answers nobody. */
function isSilent(member: Member<Job>): boolean {
  if (member.phase === 'connecting') return member.joined;
  const isIdle = member.jobs.length === member.longLived || !hasPlace(member);
  return member.upstream.hasPulse?.(isIdle) === false;
}

async function bringUp(crew: Crew, member: Member<Job>): Promise<void> {
  const order = orders.get(member)!;
  if (member.phase !== 'connecting') return;
  const refusal = await connect(member, order);
  if (member.phase !== 'connecting') return;
  const problem = refusal ?? (member.joined ? null : await warmUp(crew, member, order.warmupPath));
  if (member.phase !== 'connecting' && member.phase !== 'warming') return;
  if (problem !== null) {
    return crew.tell({ type: 'refused', worker: member.id, message: problem });
  }
  member.phase = 'serving';
  if (!member.joined) crew.tell({ type: 'joined', worker: member.id });
  member.joined = true;
  pump(crew.dispatch());
}

/** Until it answers, or says why it never will, or nobody waits for it any more. */
async function connect(member: Member<Job>, { address }: WorkerOrder): Promise<string | null> {
  const { upstream } = member;
  for (let pauseMs = FIRST_PAUSE_MS; member.phase === 'connecting'; pauseMs *= 2) {
    try {
      if (await (upstream.check?.() ?? reach(address))) return null;
    } catch (error) {
      // One that has served knows how to; what keeps it from answering now will pass.
      if (!member.joined) return error instanceof Error ? error.message : String(error);
    }
    await sleep(Math.min(pauseMs, LAST_PAUSE_MS));
  }
  return null;
}

/** What is wrong with it, or null. A page that is not there has warmed the app up as well. */
async function warmUp(
  crew: Crew,
  member: Member<Job>,
  path: string | null,
): Promise<string | null> {
  if (path === null) return null;
  member.phase = 'warming';
  const ask = { worker: member.id, path, timeoutMs: WARM_UP_MS };
  const { status, body } = await crew.door().ask(ask);
  if (status !== null && status < 500) return null;
  return `the warm-up request ${status === null ? `failed: ${body}` : `was answered ${status}`}`;
}

function reach(address: UpstreamAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const socket =
      address.kind === 'unix'
        ? openSocket(address.path)
        : openSocket({ host: address.host, port: address.port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
