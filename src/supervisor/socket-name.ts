/** Names for the sockets of workers: several pools share the private folder of an instance. */
import { join } from 'node:path';

/** A path that no other worker of this process has, or had. */
export function socketIn(folder: string): string {
  made += 1;
  return join(folder, `${made}.sock`);
}

// --- internal ---

let made = 0;
