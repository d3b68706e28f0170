/**
 * A pool that never was, behind the real page: for screenshots, and for the tests of how the page
 * looks. An hour of it passes before the page opens, then it goes on in real time.
 *
 *   node scripts/scene.mjs [port] [seconds]      then look at http://127.0.0.1:<port>/
 */
import { createServer } from 'node:http';
import { mock } from 'node:test';
import { fileURLToPath } from 'node:url';

const MIB = 2 ** 20;
const LIMIT_BYTES = 200 * MIB;
const BASE_BYTES = 62 * MIB;
const SECOND_MS = 1000;
const BOOT_S = 2;
const DRAIN_S = 3;

const realSetInterval = setInterval;

/** Starts the scene; resolves to what a test needs of it. */
export async function openScene({ port = 0, slots = 4, seconds = 3600, latency = true } = {}) {
  const { createDashboard } = await import('../dist/dashboard/dashboard.js');
  const { RECYCLE_REASONS } = await import('../dist/control/types.js');
  const pool = createPool(slots, latency, RECYCLE_REASONS);
  const page = dashboardOf(createDashboard, pool, seconds);
  const server = createServer((request, response) => {
    if (!page.dashboard.handle(request, response)) response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  const clock = realSetInterval(page.step, SECOND_MS);
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    port: server.address().port,
    dashboard: page.dashboard,
    /** Lets that slot reach its limit with the next second. */
    ripen: (slot) => pool.ripen(slot),
    async close() {
      clearInterval(clock);
      page.dashboard.close();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [port = '9477', seconds = '3600'] = process.argv.slice(2);
  const { url } = await openScene({ port: Number(port), seconds: Number(seconds) });
  console.log(url);
}

// --- internal ---

/** The dashboard looks by a timer; ours is wound by hand until its past is full. */
function dashboardOf(createDashboard, pool, seconds) {
  let at = Date.now() - seconds * SECOND_MS;
  mock.timers.enable({ apis: ['setInterval'] });
  const told = [];
  pool.onTold((event) => told.push(event));
  const dashboard = createDashboard({ status: () => pool.status(), now: () => at });
  const { tick } = mock.timers;
  const wind = tick.bind(mock.timers);
  const step = () => {
    at += SECOND_MS;
    pool.step();
    wind(SECOND_MS);
    for (const event of told.splice(0)) dashboard.told(event);
  };
  for (let second = 0; second < seconds; second += 1) step();
  return { dashboard, step };
}

/** Deterministic: the same pictures each time. */
function createDice(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function createPool(slotCount, latency, reasons) {
  const dice = createDice(7);
  const recycles = Object.fromEntries(reasons.map((reason) => [reason, 0]));
  const slots = Array.from({ length: slotCount }, (_, index) => bornIn(index + 1, 1, dice));
  const leaving = [];
  let uptimeS = 0;
  let nextPid = 4200;
  let crashes = 0;
  let tell = () => {};
  let traffic = 1;

  const begin = (worker, reason) => {
    worker.recycle = { reason, left: BOOT_S };
    const { slot, generation, requests, ageS, memoryBytes } = worker;
    tell({
      event: 'recycle_started',
      slot,
      generation,
      reason,
      breakFirst: false,
      requests,
      ageMs: ageS * SECOND_MS,
      memoryBytes: Math.round(memoryBytes),
      limit: reason === 'max_memory' ? '200MiB' : '',
    });
  };
  const replace = (old, index) => {
    const fresh = { ...bornIn(old.slot, old.generation + 1, dice), pid: (nextPid += 3) };
    slots[index] = fresh;
    tell({ ...ids(fresh), event: 'worker_ready', pid: fresh.pid, bootMs: 430 + dice() * 300 });
    if (old.recycle) leaving.push({ ...old, state: 'draining', left: DRAIN_S });
  };
  const crash = (worker, index) => {
    crashes += 1;
    tell({
      ...ids(worker),
      event: 'worker_crashed',
      pid: worker.pid,
      code: null,
      signal: 'SIGSEGV',
      requests: worker.requests,
      inFlight: 3,
      ageMs: worker.ageS * SECOND_MS,
      detail: 'killed by SIGSEGV: a native module read where nothing is',
      retryInMs: 0,
    });
    replace({ ...worker, recycle: null }, index);
  };
  const leave = (worker) => {
    recycles[worker.recycle.reason] += 1;
    const { requests, ageS, memoryBytes, recycle } = worker;
    tell({
      ...ids(worker),
      event: 'recycled',
      reason: recycle.reason,
      requests,
      ageMs: ageS * SECOND_MS,
      memoryBytes: Math.round(memoryBytes),
      limit: recycle.reason === 'max_memory' ? '200MiB' : '',
      replacedInMs: 480 + Math.round(dice() * 200),
      drainMs: 900 + Math.round(dice() * 1500),
      moved: Math.round(dice() * 9),
      cutRequests: 0,
      cutLongLived: 0,
      killed: false,
    });
  };
  const stepWorker = (worker, index) => {
    const served = Math.round((90 + dice() * 30) * traffic);
    worker.ageS += 1;
    worker.requests += served;
    worker.memoryBytes += served * worker.leakBytes + (dice() - 0.5) * 4 * MIB;
    if (worker.recycle === null && worker.memoryBytes >= LIMIT_BYTES * 0.98) {
      begin(worker, 'max_memory');
    } else if (worker.recycle === null && worker.requests >= worker.requestLimit) {
      begin(worker, 'max_requests');
    } else if (worker.recycle !== null && (worker.recycle.left -= 1) < 0) replace(worker, index);
    else if (uptimeS === 3480 && worker.slot === 2) crash(worker, index);
  };
  return {
    onTold: (listener) => (tell = listener),
    ripen: (slot) => (slots[slot - 1].memoryBytes = LIMIT_BYTES),
    step() {
      uptimeS += 1;
      traffic = 1 + 0.45 * Math.sin(uptimeS / 240) + 0.12 * Math.sin(uptimeS / 17);
      for (const [index, worker] of slots.entries()) stepWorker(worker, index);
      for (const worker of leaving) worker.left -= 1;
      while (leaving.length > 0 && leaving[0].left < 0) leave(leaving.shift());
    },
    status: () => statusOf({ slots, leaving, uptimeS, recycles, crashes, traffic, dice, latency }),
  };
}

function bornIn(slot, generation, dice) {
  return {
    slot,
    generation,
    pid: 4100 + slot,
    state: 'ready',
    ageS: 0,
    requests: 0,
    memoryBytes: BASE_BYTES + dice() * 6 * MIB,
    leakBytes: [6000, 9300, 4000, 7300][(slot - 1) % 4],
    requestLimit: slot % 4 === 3 ? 20_000 : 60_000,
    recycle: null,
  };
}

function ids({ slot, generation }) {
  return { slot, generation };
}

function statusOf({ slots, leaving, uptimeS, recycles, crashes, traffic, dice, latency }) {
  const booting = slots
    .filter(({ recycle }) => recycle !== null)
    .map((worker) => ({
      ...bornIn(worker.slot, worker.generation + 1, dice),
      memoryBytes: BASE_BYTES * 0.6,
      state: 'booting',
    }));
  const workers = [...slots, ...booting, ...leaving];
  const sum = workers.reduce((bytes, { memoryBytes }) => bytes + memoryBytes, 0);
  const supervisorBytes = 19 * MIB + Math.round(dice() * MIB);
  return {
    name: 'shop',
    pid: 4096,
    uptimeMs: uptimeS * SECOND_MS,
    state: 'running',
    listen: ['http://0.0.0.0:3000'],
    budget: { bytes: (slots.length + 1) * LIMIT_BYTES + 24 * MIB, origin: 'cgroup' },
    treeBytes: Math.round(sum + supervisorBytes + 21 * MIB),
    supervisorBytes,
    workers: workers.map((worker) => ({
      slot: worker.slot,
      generation: worker.generation,
      pid: worker.pid,
      state: worker.state,
      ageMs: worker.ageS * SECOND_MS,
      requests: worker.requests,
      inFlight: worker.state === 'booting' ? 0 : Math.round(dice() * 3 * traffic),
      longLived: 0,
      connections: worker.state === 'booting' ? 0 : 12,
      memoryBytes: Math.round(worker.memoryBytes),
      limitBytes: LIMIT_BYTES,
      heapUsedBytes: Math.round(worker.memoryBytes * 0.7),
      eventLoopUtilization: Math.min(1, 0.3 * traffic + dice() * 0.1),
      responsive: true,
      slopeBytesPerSecond: worker.leakBytes * 110,
      next: nextOf(worker),
    })),
    recycles,
    crashes,
    bootFailures: 0,
    pools: [],
    ...(latency
      ? { latency: { p50Ms: 3.1 * traffic + dice(), p99Ms: 15 * traffic + 14 * dice() ** 3 } }
      : {}),
  };
}

function nextOf({ memoryBytes, leakBytes, requests, requestLimit }) {
  const memoryMs = ((LIMIT_BYTES * 0.98 - memoryBytes) / leakBytes / 110) * SECOND_MS;
  const requestsMs = ((requestLimit - requests) / 110) * SECOND_MS;
  const reason = memoryMs < requestsMs ? 'max_memory' : 'max_requests';
  return { reason, inMs: Math.max(0, Math.min(memoryMs, requestsMs)) };
}
