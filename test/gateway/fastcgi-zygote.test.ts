import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PID_SCRIPT } from '../../src/data/gateway/fastcgi/php-cgi.ts';
import {
  createZygoteUpstream,
  type ChildBook,
  type ChildOptions,
} from '../../src/data/gateway/fastcgi/zygote.ts';
import type { FastCgiOptions } from '../../src/data/gateway/fastcgi/upstream.ts';
import type { Upstream } from '../../src/data/gateway/types.ts';
import { isAlive, killOne, processesOf, waitUntil } from '../support/processes.ts';
import { scratchFolder } from '../support/scratch.ts';
import { get, needPhp, oneByOne, startPhp, upstreamOptions, type PhpProcess } from './php.ts';
import { serveVisits } from './visit.ts';

needPhp();

/** A worker, and what it told. */
interface Child {
  readonly upstream: Upstream;
  /** Each time it was connected. */
  readonly pids: number[];
  readonly losses: number[];
}

interface TestZygote {
  readonly php: PhpProcess;
  /** As a gateway makes it when it hears of a worker. */
  readonly open: (order?: Partial<ChildOptions>) => Child;
  /** The same, until it has a child. */
  readonly adopt: (order?: Partial<ChildOptions>) => Promise<Child & { readonly pid: number }>;
}

async function startZygote(
  children: number,
  options: Partial<FastCgiOptions> = {},
): Promise<TestZygote> {
  const php = await startPhp({ type: 'zygote', children });
  const pidScript = join(php.folder, 'pid.php');
  writeFileSync(pidScript, PID_SCRIPT);
  const book: ChildBook = new Map();
  const zygote: TestZygote = {
    php,
    open(order = {}) {
      const pids: number[] = [];
      const losses: number[] = [];
      const upstream = createZygoteUpstream(
        { ...upstreamOptions(php.socketPath, []), ...options },
        {
          pidScript,
          book,
          pid: null,
          taken: [],
          onChild: (pid) => pids.push(pid),
          onLost: () => losses.push(pids.at(-1) ?? 0),
          ...order,
        },
      );
      onTestFinished(() => upstream.destroy());
      return { upstream, pids, losses };
    },
    async adopt(order) {
      const child = zygote.open(order);
      await waitUntil('a child', () => child.upstream.check!());
      return { ...child, pid: child.pids[0]! };
    },
  };
  return zygote;
}

test('each connection is a child of its own, and stays it', async () => {
  const { php, adopt } = await startZygote(3);
  const children = [await adopt(), await adopt(), await adopt()];
  const pids = children.map(({ pid }) => pid);
  expect(new Set(pids).size).toBe(3);
  expect(new Set(processesOf(php.pid))).toEqual(new Set(pids));
  for (const { pid, upstream } of children) {
    const server = await serveVisits(oneByOne(upstream));
    for (let count = 0; count < 3; count += 1) {
      expect((await get(server, '/pid.php')).body).toBe(String(pid));
    }
  }
});

test('without a free child there is no worker, until one comes free', async () => {
  const { open, adopt } = await startZygote(1);
  const first = await adopt();
  const second = open({ patienceMs: 200 });
  expect(await second.upstream.check!()).toBe(false);
  killOne(first.pid);
  await waitUntil('the next one', () => second.upstream.check!());
  expect(second.pids).not.toContain(first.pid);
});

test('a recycle: let go, TERM, and the parent has a fresh one', async () => {
  const { adopt } = await startZygote(1);
  const child = await adopt();
  child.upstream.release();
  await waitUntil('it is told', () => child.losses.length > 0);
  killOne(child.pid, 'SIGTERM');
  const next = await adopt();
  expect(next.pid).not.toBe(child.pid);
  await waitUntil('the end of the old one', () => !isAlive(child.pid));
});

test('a child that was let go is nobody else’s until its worker is forgotten', async () => {
  const { adopt, open } = await startZygote(1);
  const child = await adopt();
  child.upstream.release();
  const next = open();
  for (let tries = 0; tries < 5; tries += 1) expect(await next.upstream.check!()).toBe(false);
  child.upstream.destroy();
  await waitUntil('it is anybody’s', () => next.upstream.check!());
  expect(next.pids).toEqual([child.pid]);
});

test('children of another gateway are not taken, and its worker finds its own again', async () => {
  const { adopt, open } = await startZygote(2);
  const [one, two] = [await adopt(), await adopt()];
  for (const { upstream } of [one, two]) upstream.destroy();
  const stranger = open({ taken: [one.pid, two.pid] });
  for (let tries = 0; tries < 4; tries += 1) expect(await stranger.upstream.check!()).toBe(false);
  const again = [open({ pid: two.pid }), open({ pid: one.pid })];
  await waitUntil('both', async () => {
    const found = await Promise.all(again.map(({ upstream }) => upstream.check!()));
    return found.every(Boolean);
  });
  expect(again.map(({ pids }) => pids)).toEqual([[two.pid], [one.pid]]);
});

test('one that dies is told, never replaced by a sibling, and its visit comes back unsent', async () => {
  const { adopt } = await startZygote(2);
  const child = await adopt();
  const server = await serveVisits(oneByOne(child.upstream));
  killOne(child.pid);
  await waitUntil('it is told', () => child.losses.length > 0);
  const asked = get(server, '/hello.php').catch(() => null);
  await sleep(50);
  expect(server.results).toEqual([]);
  child.upstream.destroy();
  await asked;
  expect(server.results[0]).toMatchObject({ type: 'failed', stage: 'unsent' });
  expect(child.pids).toEqual([child.pid]);
});

describe('one whose client goes away', () => {
  const options = { abortGraceMs: 20 };

  test.each(['slow.php?ms=600&', 'chatty.php?'])(
    'in %s works on, and is the same',
    async (script) => {
      const { adopt, open } = await startZygote(2, options);
      const child = await adopt();
      const server = await serveVisits(oneByOne(child.upstream));
      const mark = join(scratchFolder(), 'mark');
      const url = `http://127.0.0.1:${server.port}/${script}mark=${mark}`;
      const client = new AbortController();
      const asked = fetch(url, { signal: client.signal }).then((answer) => answer.text());
      const gone = expect(asked).rejects.toThrow();
      await waitUntil('its script runs', () => existsSync(`${mark}.begun`));
      client.abort();
      await gone;
      await waitUntil('its connection is closed', () => child.losses.length > 0);
      // Others may look for a child meanwhile: never this one.
      const other = open();
      await waitUntil('another', () => other.upstream.check!());
      await waitUntil('the visit is over', () => server.results.length > 0);
      expect(readFileSync(mark, 'utf8')).toMatch(/done|ended/);
      expect((await get(server, '/pid.php')).body).toBe(String(child.pid));
      expect(child.pids).toEqual([child.pid, child.pid]);
      expect(other.pids).not.toContain(child.pid);
    },
  );
});

test('a script that cannot run tells no pid, and what php said about it', async () => {
  const { php, open } = await startZygote(1);
  const child = open({ pidScript: join(php.folder, 'none.php') });
  await expect(child.upstream.check!()).rejects.toThrow(/not tell its pid.*No input file/);
});
