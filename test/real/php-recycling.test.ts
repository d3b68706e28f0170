/** php-cgi workers are replaced, by requests and by memory, and no client notices. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { request } from 'undici';
import { describe, expect, test } from 'vitest';
import { needPhp } from '../gateway/php.ts';
import { startClients } from '../support/clients.ts';
import type { LogEvent, RunningCofferdam } from '../support/cofferdam.ts';
import { waitUntil } from '../support/processes.ts';
import { PHP_LAYOUTS, phpPids, servePhp } from '../support/php.ts';
import { expectCleanRecycles, expectMakeBeforeBreak, RECYCLES } from '../support/recycling.ts';
import { scratchFolder } from '../support/scratch.ts';
import { statusOfPool, stopLoad, workerEvents } from '../support/serve.ts';

needPhp();

const WITHIN_MS = 60_000;

function recycles(pool: RunningCofferdam): LogEvent[] {
  return workerEvents(pool, 'recycled');
}

describe.each(PHP_LAYOUTS)('%s', (layout) => {
  test('no worker ever serves one request more than its limit, under 200 at once', async () => {
    const limit = 30;
    const pool = await servePhp(
      ['--workers', '4', '--gate', '2', '--max-requests', String(limit)],
      layout,
    );
    const counts = new Map<string, number>();
    for (let round = 0; round < 3; round += 1) {
      const asked = Array.from({ length: 200 }, async () => {
        const { statusCode, headers, body } = await request(pool.url);
        await body.dump();
        expect(statusCode).toBe(200);
        const pid = String(headers['x-worker']);
        counts.set(pid, (counts.get(pid) ?? 0) + 1);
      });
      await Promise.all(asked);
    }
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(limit);
    expect(counts.size).toBeGreaterThanOrEqual(600 / limit);
    // Never behind the limit, and ahead of it by the jitter (10 %) and a boot, half of it at most;
    // the first ones are staggered, so that they do not all go at once.
    await waitUntil('the recycles', () => recycles(pool).length >= counts.size - 4);
    for (const { reason, requests, generation } of recycles(pool)) {
      expect(reason).toBe('max_requests');
      const least = generation === 1 ? 1 : (limit / 2) * 0.9;
      expect(requests).toBeGreaterThanOrEqual(least);
      expect(requests).toBeLessThanOrEqual(limit);
    }
  });

  test('the replacement is there before the last request: no place stays empty', async () => {
    const limit = 100;
    const limits = ['--max-requests', String(limit), '--jitter', '0%'];
    const pool = await servePhp(['--workers', '2', ...limits], layout);
    const clients = startClients('raw', pool, { clients: 4, paths: ['GET /slow?ms=10'] });
    // The first generation cannot know yet how fast requests come.
    const later = (): LogEvent[] =>
      recycles(pool).filter(({ generation }) => Number(generation) > 1);
    await waitUntil('recycles', () => later().length >= 7, WITHIN_MS);
    await stopLoad(clients);
    const served = later().map(({ requests }) => Number(requests));
    expect(Math.min(...served)).toBeGreaterThanOrEqual(limit / 2);
    expect(served.sort((a, b) => a - b)[Math.floor(served.length / 2)]).toBeLessThan(limit);
  });

  test('fifty recycles under load lose nothing, on kept connections or new ones', async () => {
    const pool = await servePhp(['--workers', '3', '--gate', '2', '--max-requests', '40'], layout);
    const kinds = (['raw', 'raw-close', 'undici'] as const).map((kind) =>
      startClients(kind, pool, { clients: 6, thinkMs: 2 }),
    );
    await waitUntil('fifty recycles', () => recycles(pool).length >= RECYCLES, WITHIN_MS);
    for (const clients of kinds) await stopLoad(clients);
    expectCleanRecycles(recycles(pool));
    expectMakeBeforeBreak(pool.events.filter((event) => event['pool'] === undefined));
  }, 90_000);

  test('a script that sleeps is let sleep: no signal reaches a busy worker', async () => {
    const pool = await servePhp(['--workers', '1'], layout);
    const [pid] = phpPids(pool);
    const from = performance.now();
    const asked = request(`${pool.url}/slow?ms=4000`);
    await waitUntil('it sleeps', async () => (await statusOfPool(pool)).workers[0]?.inFlight === 1);
    pool.signal('SIGUSR2');
    await waitUntil('its replacement', () => phpPids(pool).length === 2);
    expect(recycles(pool)).toEqual([]);
    const { headers, body } = await asked;
    await body.dump();
    expect(headers['x-worker']).toBe(String(pid));
    // A signal would have ended usleep() early (sleep(), flock() and stream_select() as well).
    expect(performance.now() - from).toBeGreaterThanOrEqual(4000);
    await waitUntil('the recycle', () => recycles(pool).length === 1);
    expect(recycles(pool)).toMatchObject([{ reason: 'manual', killed: false, cutRequests: 0 }]);
  });

  test('native memory that PHP itself cannot see is given back in time', async () => {
    const config = join(scratchFolder(), 'cofferdam.toml');
    writeFileSync(config, '[php-ini]\nffi.enable = true\n');
    const limitMiB = 48;
    const limits = ['--max-memory', `${limitMiB}MiB`, '--max-requests', '0', '--config', config];
    const pool = await servePhp(limits, layout);
    const clients = startClients('raw', pool, { clients: 4, paths: ['GET /grow?kb=256'] });
    await waitUntil('recycles', () => recycles(pool).length >= 4, WITHIN_MS);
    await stopLoad(clients);
    for (const { reason, memoryBytes } of recycles(pool)) {
      expect(['max_memory', 'predicted']).toContain(reason);
      expect(Number(memoryBytes)).toBeGreaterThan((limitMiB / 2) * 2 ** 20);
    }
  });

  test('a reload replaces all of them, with the new php.ini, and loses nothing', async () => {
    const config = join(scratchFolder(), 'cofferdam.toml');
    const site = 'drain-timeout = "10s"\n';
    writeFileSync(config, site);
    const pool = await servePhp(['--config', config], layout);
    const clients = startClients('raw', pool, { clients: 6 });
    writeFileSync(config, `${site}[php-ini]\n"default_mimetype" = "text/after"\n`);
    pool.signal('SIGHUP');
    await waitUntil('two recycles', () => recycles(pool).length >= 2);
    const { headers, body } = await request(pool.url);
    await body.dump();
    expect(headers['x-mimetype']).toBe('text/after');
    await stopLoad(clients);
    expect(recycles(pool).map(({ reason }) => reason)).toEqual(['reload', 'reload']);
  });
});
