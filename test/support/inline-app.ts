/** Small apps that belong to one test only, written where the test can be read. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { RunningCofferdam, SpawnOptions } from './cofferdam.ts';
import { openConnection, type Http1Connection } from './http1-connection.ts';
import { serve } from './serve.ts';

/** Serves CommonJS source, with all workers ready; the file and the pool end with the test. */
export async function serveSource(
  source: string,
  args: readonly string[] = [],
  options: SpawnOptions = {},
): Promise<RunningCofferdam> {
  const folder = mkdtempSync(join(tmpdir(), 'cofferdam-app-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const app = join(folder, 'app.cjs');
  writeFileSync(app, source);
  const pool = await serve([app, ...args], options);
  await pool.waitForTold('all_ready');
  return pool;
}

/** A keep-alive connection that ends with the test. */
export async function connectTo(pool: RunningCofferdam): Promise<Http1Connection> {
  const connection = openConnection({ url: pool.url });
  onTestFinished(() => void connection.socket.destroy());
  await connection.connected();
  return connection;
}

/** One request on it; the body of the answer. */
export async function ask(connection: Http1Connection, path = '/'): Promise<string> {
  connection.socket.write(`GET ${path} HTTP/1.1\r\nhost: test\r\n\r\n`);
  return String((await connection.readAnswer()).body);
}
