/** What every fuzzer watches for: a process that dies, what it holds for nobody, what it mixes up. */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { waitUntil } from '../support/processes.ts';
import type { TestGateway } from '../gateway/harness.ts';
import { descriptorsOf } from '../gateway/peers.ts';

/** Printed with each failure; `FUZZ_SEED` plays the same again. */
export const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000);

/** `npm run fuzz` plays this many times what CI plays. */
export const TIMES = Number(process.env['FUZZ_TIMES'] ?? 1);

const MIB = 2 ** 20;

/** One a second, and a little. */
const REPORT_MS = 1500;

/** A heap that has seen everything once may grow by this much; a leak per round is far above it. */
const GROWTH_BYTES_MAX = 96 * MIB;

/** An idle HTTP/2 session that Node 20 stopped reading from is given up after 45 s. */
const LET_GO_MS = 75_000;

/** Descriptors that a gateway may keep for its workers' idle connections. */
const SPARE_DESCRIPTORS = 100;

/** What the answers to a client say, and nobody else's. A mutation of it is no other's. */
export function tokenOf(round: number): string {
  return `c${round}k${(round * 7919) % 9973}`;
}

/** Tokens that a client finds in what came back, and which are not its own. */
export function strangersIn(text: string, own: string): string[] {
  return [...text.matchAll(/id=(c(\d+)k\d+)-/g)].flatMap(([, token = '', round]) =>
    token === own || token !== tokenOf(Number(round)) ? [] : [token],
  );
}

/** A worker that says who asked it; some paths are slow, large, or never answered. */
export function answerWithId(request: IncomingMessage, response: ServerResponse): void {
  const body = `id=${String(request.headers['x-id'])};`;
  request.on('error', () => undefined);
  if (request.url === '/hang') request.resume();
  else if (request.url === '/slow') setTimeout(() => response.end(body), 5);
  else if (request.url === '/large') response.end(body.repeat(20_000));
  else request.resume().once('end', () => response.end(body));
}

/** To be made when the gateway has its workers and has served some requests. */
export function watchGateway(gateway: TestGateway): {
  /** To be called when all clients are gone. */
  unharmed(): Promise<void>;
  /** The same but for memory: what the first rounds take at once is kept for the next ones. */
  settled(): Promise<void>;
} {
  const descriptors = descriptorsOf(gateway);
  const warmBytes = residentBytes(gateway.pid);
  const settled = async (): Promise<void> => {
    expect([`seed ${SEED}`, gateway.child.exitCode, gateway.child.signalCode]).toEqual([
      `seed ${SEED}`,
      null,
      null,
    ]);
    const faults = gateway.said.filter(
      (message) => message.type === 'log' && message.event.endsWith('_fault'),
    );
    expect([`seed ${SEED}`, faults]).toEqual([`seed ${SEED}`, []]);
    // Reports that are older than the end of the last client say nothing.
    await sleep(REPORT_MS);
    const isFree = (): boolean => gateway.inFlight() === 0;
    await waitUntil(`seed ${SEED}: no worker is held`, isFree, LET_GO_MS);
    await waitUntil(
      `seed ${SEED}: descriptors are closed`,
      () => descriptorsOf(gateway) <= descriptors + SPARE_DESCRIPTORS,
      LET_GO_MS,
    );
  };
  return {
    settled,
    async unharmed() {
      await settled();
      expect([`seed ${SEED}`, residentBytes(gateway.pid) - warmBytes < GROWTH_BYTES_MAX]).toEqual([
        `seed ${SEED}`,
        true,
      ]);
    },
  };
}

// --- internal ---

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}
