/**
 * Which `Host` may be asked for what the ops listener tells. A foreign site can let its own name
 * point at our address (DNS rebinding) and then read the answers as if they were its own.
 */
import { isIP } from 'node:net';

/**
 * `header`: the Host header; `localAddress`: where the connection arrived. On the loopback device
 * people ask by address, which cannot be rebound, or as `localhost`; any other name is refused. On
 * an outer address every name is right: only who runs the network knows what we are called there.
 */
export function isTrustedHost(header: string | undefined, localAddress: string): boolean {
  if (!isLoopback(localAddress) || header === undefined || header === '') return true;
  const name = hostOf(header);
  if (name === null) return false;
  return isIP(name) !== 0 || name === 'localhost' || name.endsWith('.localhost');
}

// --- internal ---

function isLoopback(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127\./.test(address);
}

/** The name in `name:port`, `name`, `[::1]:port`; null when it is neither. */
function hostOf(header: string): string | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(header);
  const name = match?.[1] ?? match?.[2];
  return name === undefined ? null : name.toLowerCase().replace(/\.$/, '');
}
