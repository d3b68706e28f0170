/**
 * Whether a program still answers. It tells nobody how it is; so one that holds requests and says
 * nothing for a while is asked, over a connection of its own, whether it is there: `OPTIONS *`,
 * which is about the server and not about any page (RFC 9110, 9.3.7). Any answer will do.
 */
import { Agent, request as openRequest, type ClientRequest } from 'node:http';

export interface Pulse {
  /** It said something, to whomever. */
  beat(): void;
  /**
   * To be called each second. False: it was asked, and says nothing. `isIdle`: nobody waits for it,
   * or it has all the requests that it may have, which is busy and not hung.
   */
  isFelt(isIdle: boolean): boolean;
  /** Asks no more. */
  stop(): void;
}

/** Where it listens, in the words of `http.request`. */
type Where = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/** Most requests are over before; so whoever is asked is hung, or has one long request only. */
export const QUIET_MS = 5000;
/** A program that is alive answers this in no time; a machine that is busy takes longer. */
export const PATIENCE_MS = 1500;

export function createPulse(where: Where, now: () => number): Pulse {
  let heardAt = now();
  let asked: Asked | null = null;

  function stop(): void {
    asked?.request.destroy();
    asked = null;
  }

  function beat(): void {
    heardAt = now();
    stop();
  }

  /** `since`: of the first of several tries. */
  function ask(since: number): void {
    const request = openRequest({ ...where, ...QUESTION, agent: FRESH });
    const mine: Asked = { request, since, isRefused: false };
    asked = mine;
    let isConnected = false;
    request.once('socket', (socket) => socket.once('connect', () => (isConnected = true)));
    request.once('response', beat);
    request.on('error', () => {
      if (asked !== mine) return;
      // Who hangs up has noticed us.
      if (isConnected) beat();
      else mine.isRefused = true;
    });
    request.end();
  }

  return {
    beat,
    isFelt(isIdle) {
      if (asked === null) {
        if (isIdle) heardAt = now();
        else if (now() - heardAt >= QUIET_MS) ask(now());
        return true;
      }
      const { since, isRefused } = asked;
      if (isRefused) ask(since);
      return now() - since < PATIENCE_MS;
    },
    stop,
  };
}

// --- internal ---

interface Asked {
  readonly request: ClientRequest;
  readonly since: number;
  /** It could not be connected to. */
  isRefused: boolean;
}

/** Keeps nothing. */
const FRESH = new Agent({ keepAlive: false });

const QUESTION = {
  method: 'OPTIONS',
  path: '*',
  headers: { host: 'localhost', 'user-agent': 'cofferdam-health', connection: 'close' },
};
