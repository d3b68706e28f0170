/** Clients that stay: WebSockets that expect every message back, and readers of event streams. */
import { get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { ClientFailure, countError, countFailure, emptyTally, type Tally } from './tally.ts';

export interface LongLivedRun {
  /** `ok` counts messages or events that came as they should. */
  readonly tally: Tally;
  /** Connections that are open now. */
  readonly open: number;
  /** Connections that were made so far. */
  readonly connected: number;
  /** Ends by a goodbye of the server (code 1001, `event: bye`); the client comes back at once. */
  readonly goodbyes: number;
  stop(): Promise<Tally>;
}

/** A message that is not back after so long is lost. */
const ECHO_PATIENCE_MS = 15_000;
const MESSAGE_PAUSE_MS = 20;
const AFTER_FAILURE_MS = 50;
const GOING_AWAY = 1001;

interface State {
  readonly tally: Tally;
  readonly stopping: AbortController;
  open: number;
  connected: number;
  goodbyes: number;
}

/** Opens `clients` WebSockets to `/ws`; each sends a message and waits for it, again and again. */
export function startWebSockets(url: string, clients = 4): LongLivedRun {
  return startAll(clients, (state) => talk(state, `${url.replace(/^http/, 'ws')}/ws`));
}

/** Opens `clients` event streams of `/sse`; each event has to carry the next number. */
export function startEventReaders(url: string, clients = 4): LongLivedRun {
  return startAll(clients, (state) => listen(state, `${url}/sse?ms=${MESSAGE_PAUSE_MS}`));
}

// --- internal ---

function startAll(clients: number, once: (state: State) => Promise<void>): LongLivedRun {
  const state: State = {
    tally: emptyTally(),
    stopping: new AbortController(),
    open: 0,
    connected: 0,
    goodbyes: 0,
  };
  const loop = async (): Promise<void> => {
    while (!state.stopping.signal.aborted) {
      try {
        await once(state);
      } catch (error) {
        if (state.stopping.signal.aborted) return;
        countError(state.tally, error, 'long-lived connection');
        await sleep(AFTER_FAILURE_MS);
      }
    }
  };
  const loops = Array.from({ length: clients }, loop);
  return {
    tally: state.tally,
    get open() {
      return state.open;
    },
    get connected() {
      return state.connected;
    },
    get goodbyes() {
      return state.goodbyes;
    },
    async stop() {
      state.stopping.abort();
      await Promise.all(loops);
      return state.tally;
    },
  };
}

/** One WebSocket from its opening to its end; rejects unless the end was a goodbye. */
async function talk(state: State, url: string): Promise<void> {
  const webSocket = new WebSocket(url);
  const stop = (): void => webSocket.terminate();
  state.stopping.signal.addEventListener('abort', stop);
  let expected = '';
  let patience: NodeJS.Timeout | undefined;
  const say = (): void => {
    if (webSocket.readyState !== WebSocket.OPEN) return;
    expected = `${process.pid} ${Math.random()}`;
    webSocket.send(expected);
    patience = setTimeout(() => {
      countFailure(state.tally, 'hung', 'a WebSocket message did not come back');
      webSocket.terminate();
    }, ECHO_PATIENCE_MS);
  };
  let counted = false;
  webSocket.on('open', () => {
    state.open += 1;
    state.connected += 1;
    counted = true;
    say();
  });
  webSocket.on('message', (data: Buffer) => {
    clearTimeout(patience);
    if (data.toString() === expected) state.tally.ok += 1;
    else countFailure(state.tally, 'wrongBody', `WebSocket: ${data.toString('utf8', 0, 60)}`);
    setTimeout(say, MESSAGE_PAUSE_MS);
  });
  try {
    await new Promise<void>((resolve, reject) => {
      webSocket.on('error', reject);
      webSocket.on('close', (code) => {
        if (code === GOING_AWAY) resolve();
        else reject(new ClientFailure('reset', `WebSocket closed with ${code}`));
      });
    });
    state.goodbyes += 1;
  } finally {
    clearTimeout(patience);
    if (counted) state.open -= 1;
    state.stopping.signal.removeEventListener('abort', stop);
  }
}

/** One event stream from its opening to its end; rejects unless the server said `event: bye`. */
async function listen(state: State, url: string): Promise<void> {
  const id = `sse-${Math.random()}`;
  const response = await openStream(`${url}&id=${id}`, state.stopping.signal);
  state.open += 1;
  state.connected += 1;
  let text = '';
  let expected = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      text += chunk.toString();
      const events = text.split('\n\n');
      text = events.pop() ?? '';
      for (const event of events) {
        if (event.startsWith('event: bye')) {
          state.goodbyes += 1;
          response.destroy();
          return;
        }
        if (event === `data: ${id} ${expected}`) state.tally.ok += 1;
        else countFailure(state.tally, 'wrongBody', `SSE: ${event} instead of ${expected}`);
        expected += 1;
      }
    }
  } finally {
    state.open -= 1;
  }
  throw new ClientFailure('reset', 'the event stream ended without a goodbye');
}

function openStream(url: string, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false, signal }, resolve);
    request.on('error', reject);
  });
}
