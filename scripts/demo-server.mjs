/** `cofferdam serve` as a child of the demo or a bench: what it is told, what it tells, how it ends. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.mjs';
import { ROOT } from './setup.mjs';

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 20_000;
/** Enough of the output to see why something went wrong. */
const LAST_LINES = 15;

/**
 * Serves an app on a free port; resolves at once, `ready` does when all workers are. `enter`: a
 * command that goes before ours, and becomes it.
 */
export async function startServing(app, settings, enter = []) {
  const port = await freePort();
  const address = { name: `demo-${process.pid}`, host: '127.0.0.1', port, log: 'json' };
  const flags = { ...settings, ...address };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const main = join(ROOT, 'dist/cli/main.js');
  const [command, ...rest] = [...enter, process.execPath, main, 'serve', app, ...args];
  // In a group of its own: Ctrl-C is for us, and we stop the load before we stop the server.
  const child = spawn(command, rest, {
    cwd: ROOT,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const killAtExit = () => child.kill('SIGKILL');
  process.once('exit', killAtExit);
  const exited = new Promise((resolve) => child.once('exit', resolve));
  void exited.then(() => process.off('exit', killAtExit));

  const lines = [];
  const recycles = {};
  const replacements = [];
  let started = null;
  let setReady;
  const allReady = new Promise((resolve) => (setReady = resolve));
  createInterface(child.stderr).on('line', (line) => {
    lines.push(line);
    if (lines.length > LAST_LINES) lines.shift();
    const event = parseEvent(line);
    if (event?.event === 'starting') started = event;
    if (event?.event === 'all_ready') setReady();
    if (event?.event !== 'recycled') return;
    recycles[event.reason] = (recycles[event.reason] ?? 0) + 1;
    replacements.push(event);
  });
  const failed = (why) => Promise.reject(new Error(`${why}\n\n${lines.join('\n')}`));
  const ready = Promise.race([
    allReady,
    exited.then(() => failed('the server ended before it was ready')),
    sleep(START_TIMEOUT_MS, undefined, { ref: false }).then(() => failed('it did not get ready')),
  ]);
  ready.catch(() => {});

  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid,
    ready,
    exited,
    recycles,
    replacements,
    /** What it told first: its budget, and where that comes from. */
    started: () => started,
    lastLines: () => lines.join('\n'),
    async stop() {
      child.kill('SIGTERM');
      const late = sleep(STOP_TIMEOUT_MS, 'late', { ref: false });
      if ((await Promise.race([exited, late])) === 'late') child.kill('SIGKILL');
      await exited;
    },
  };
}

// --- internal ---

function parseEvent(line) {
  try {
    return JSON.parse(line);
  } catch {
    // The app's own stderr comes the same way.
    return null;
  }
}
