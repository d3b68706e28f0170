/** Whether a program still answers: by a clock of the test, over a real socket. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createPulse, PATIENCE_MS, QUIET_MS } from '../../src/data/gateway/pulse.ts';
import { waitUntil } from '../support/processes.ts';
import { scratchFolder } from '../support/scratch.ts';

/** A pulse with a clock of ours, and who listens at its address. */
function makePulse(): {
  readonly asked: string[];
  readonly held: ServerResponse[];
  readonly listen: () => Promise<void>;
  readonly feel: (afterMs: number, isIdle?: boolean) => boolean;
  readonly beat: () => void;
} {
  const socketPath = join(scratchFolder(), 'program.sock');
  const asked: string[] = [];
  const held: ServerResponse[] = [];
  let now = 1000;
  const pulse = createPulse({ socketPath }, () => now);
  const server = createServer(({ method, url }: IncomingMessage, response) => {
    asked.push(`${method} ${url}`);
    held.push(response);
  });
  onTestFinished(() => {
    pulse.stop();
    server.closeAllConnections();
    server.close();
  });
  return {
    asked,
    held,
    async listen() {
      server.listen(socketPath);
      await once(server, 'listening');
    },
    feel(afterMs, isIdle = false) {
      now += afterMs;
      return pulse.isFelt(isIdle);
    },
    beat: () => pulse.beat(),
  };
}

test('who says something is not asked, nor who has nothing to say', async () => {
  const { asked, listen, feel, beat } = makePulse();
  await listen();
  for (let count = 0; count < 5; count += 1) {
    expect(feel(QUIET_MS - 1)).toBe(true);
    beat();
    expect(feel(QUIET_MS * 2, true)).toBe(true);
  }
  expect(asked).toEqual([]);
});

test('who is quiet is asked once, and lives with any answer', async () => {
  const { asked, held, listen, feel } = makePulse();
  await listen();
  expect(feel(QUIET_MS)).toBe(true);
  await waitUntil('the question', () => held.length === 1);
  expect(feel(PATIENCE_MS - 1)).toBe(true);
  expect(feel(1)).toBe(false);
  expect(feel(10 * PATIENCE_MS)).toBe(false);
  // Nobody waits any more, but the question stands.
  expect(feel(0, true)).toBe(false);
  held[0]?.writeHead(405).end();
  await waitUntil('the answer', () => feel(0));
  expect(asked).toEqual(['OPTIONS *']);
});

test('who hangs up has noticed us', async () => {
  const { held, listen, feel } = makePulse();
  await listen();
  feel(QUIET_MS);
  await waitUntil('the question', () => held.length === 1);
  expect(feel(PATIENCE_MS)).toBe(false);
  held[0]?.destroy();
  await waitUntil('the end', () => feel(0));
});

test('whom nobody can connect to is asked again, and given up in the meantime', async () => {
  const { asked, held, listen, feel } = makePulse();
  feel(QUIET_MS);
  expect(feel(PATIENCE_MS)).toBe(false);
  await listen();
  await waitUntil('a question that arrives', () => !feel(0) && held.length > 0);
  held[0]?.end();
  await waitUntil('the answer', () => feel(0));
  expect(asked.every((each) => each === 'OPTIONS *')).toBe(true);
});
