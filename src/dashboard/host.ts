/**
 * Which `Host` may be asked for the page. A foreign site can let its own name point at our address
 * (DNS rebinding) and then read the page as if it were its own; a name that we do not know is
 * refused. An address cannot be rebound.
 */
import { isIP } from 'node:net';

/** `header`: the Host header; `names`: allowed besides loopback names and addresses. */
export function isHostAllowed(header: string | undefined, names: readonly string[]): boolean {
  const name = hostOf(header ?? '');
  if (name === null) return false;
  if (isIP(name) !== 0 || name === 'localhost' || name.endsWith('.localhost')) return true;
  return names.some((allowed) => allowed.toLowerCase().replace(/\.$/, '') === name);
}

// --- internal ---

/** The name in `name:port`, `name`, `[::1]:port`; null when it is neither. */
function hostOf(header: string): string | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(header);
  const name = match?.[1] ?? match?.[2];
  return name === undefined ? null : name.toLowerCase().replace(/\.$/, '');
}
