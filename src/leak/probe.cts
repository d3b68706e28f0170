/**
 * The probe of `cofferdam leak`: loaded into the app beside the agent, it collects garbage,
 * measures, and writes snapshots when asked. It keeps nothing between two samples: a probe that
 * leaks is found by itself (a first prototype kept 500 bytes each).
 */
import type { EventEmitter } from 'node:events';
import inspector = require('node:inspector');
import v8 = require('node:v8');
import type {
  PROBE_COMMAND,
  ProbeEnvelope,
  ProbeReply,
  ProbeRequest,
  ProbeSample,
  ProfileNode,
} from './probe-messages.ts' with { 'resolution-mode': 'import' };
import { readSites, startSites } from './probe-sites.cts';

const COMMAND = 'NODE_COFFERDAM_LEAK' satisfies typeof PROBE_COMMAND;

if (process.send !== undefined) start();

// --- internal ---

function start(): void {
  hideFromChildren();
  // Never disabled: that would make V8 forget the object ids on which snapshots are compared.
  const session = new inspector.Session();
  session.connect();
  const rawSend = process.send?.bind(process) as unknown as (
    message: unknown,
    handle: undefined,
    options: object,
    done: () => void,
  ) => void;
  const reply = (id: number, message: ProbeReply): void => {
    if (process.connected) rawSend({ ...message, id, cmd: COMMAND }, undefined, {}, () => {});
  };
  // Node types no 'internalMessage'.
  const emitter = process as unknown as EventEmitter;
  emitter.on('internalMessage', (message: ProbeEnvelope<ProbeRequest>) => {
    if (message.cmd !== COMMAND) return;
    answer(session, message).then(
      (result) => reply(message.id, result),
      (error: unknown) => reply(message.id, { type: 'error', message: String(error) }),
    );
  });
}

/** The app's own forks and threads inherit `execArgv`: they are not under test. */
function hideFromChildren(): void {
  const { execArgv } = process;
  const at = execArgv.indexOf(__filename);
  if (at > 0) execArgv.splice(at - 1, 2);
}

async function answer(session: inspector.Session, request: ProbeRequest): Promise<ProbeReply> {
  switch (request.type) {
    case 'sample':
      return { type: 'sample', sample: await sample(session) };
    case 'snapshot':
      await collect(session);
      v8.writeHeapSnapshot(request.path);
      return { type: 'done' };
    case 'profile_start':
      await post(session, 'HeapProfiler.startSampling', {
        samplingInterval: request.intervalBytes,
      });
      return { type: 'done' };
    case 'profile': {
      await collect(session);
      const result = await post(session, 'HeapProfiler.getSamplingProfile');
      return { type: 'profile', head: (result as { profile: { head: ProfileNode } }).profile.head };
    }
    case 'sites_start':
      startSites();
      return { type: 'done' };
    case 'sites':
      await collect(session);
      return { type: 'sites', sites: readSites() };
  }
  return { type: 'error', message: 'unknown request' };
}

function post(session: inspector.Session, method: string, params?: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    session.post(method, params, (error, result) => {
      if (error === null) resolve(result);
      else reject(new Error(error.message));
    });
  });
}

/** One collection leaves what finalizers free: two, a turn apart, are four times quieter. */
async function collect(session: inspector.Session): Promise<void> {
  for (let round = 0; round < 2; round++) {
    await post(session, 'HeapProfiler.collectGarbage');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const DATA_SPACES = new Set(['old_space', 'large_object_space', 'new_large_object_space']);

async function sample(session: inspector.Session): Promise<ProbeSample> {
  const heapBeforeBytes = v8.getHeapStatistics().used_heap_size;
  await collect(session);
  const heap = v8.getHeapStatistics();
  let heapBytes = 0;
  for (const space of v8.getHeapSpaceStatistics()) {
    if (DATA_SPACES.has(space.space_name)) heapBytes += space.space_used_size;
  }
  return {
    heapBytes,
    heapUsedBytes: heap.used_heap_size,
    heapTotalBytes: heap.total_heap_size,
    heapBeforeBytes,
    heapLimitBytes: heap.heap_size_limit,
    externalBytes: heap.external_memory,
    arrayBuffersBytes: arrayBuffersBytes(),
    mallocedBytes: heap.malloced_memory,
    nativeContexts: heap.number_of_native_contexts,
    detachedContexts: heap.number_of_detached_contexts,
    resources: countResources(),
    listeners: countListeners(),
    rssBytes: process.resourceUsage().maxRSS * 1024,
  };
}

/** Node reads a file for it: an app that leaked all its descriptors cannot. */
function arrayBuffersBytes(): number {
  try {
    return process.memoryUsage().arrayBuffers;
  } catch {
    return 0;
  }
}

function countResources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const type of process.getActiveResourcesInfo()) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}

/** Listeners of the process and of its servers: where a handler is added per request by mistake. */
function countListeners(): number {
  const { _getActiveHandles: handles } = process as unknown as {
    _getActiveHandles?: () => unknown[];
  };
  let count = countOn(process);
  for (const handle of handles?.call(process) ?? []) {
    const isServer = handle !== null && typeof handle === 'object' && 'listening' in handle;
    if (isServer && 'eventNames' in handle) count += countOn(handle as unknown as EventEmitter);
  }
  return count;
}

function countOn(emitter: EventEmitter): number {
  let count = 0;
  for (const name of emitter.eventNames()) count += emitter.listenerCount(name);
  return count;
}
