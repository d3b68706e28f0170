/**
 * Who sent a request: the peer of the connection, unless that is a proxy we trust; then whoever
 * the proxy says. What clients claim about themselves is never passed on.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';
import type { VisitorFacts } from './types.ts';

export interface Trust {
  /** `unix` in the list trusts whoever may connect to a unix socket. */
  readonly unix: boolean;
  /** Null: no addresses at all, so none has to be parsed. */
  readonly ranges: BlockList | null;
}

export interface Peer {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly encrypted: boolean;
}

/** Addresses and CIDR ranges; entries that are neither are returned in `bad`. */
export function createTrust(entries: readonly string[]): { trust: Trust; bad: string[] } {
  const ranges = new BlockList();
  const bad = entries.filter((entry) => entry !== 'unix' && !addRange(ranges, entry));
  return {
    trust: { unix: entries.includes('unix'), ranges: ranges.rules.length > 0 ? ranges : null },
    bad,
  };
}

/** Whether what clients say about themselves is never believed, whoever they are. */
export function isTrustless(trust: Trust): boolean {
  return !trust.unix && trust.ranges === null;
}

/** Header names are those of Node: lower case, several of one name joined by commas. */
export function readVisitor(
  peer: Peer,
  headers: IncomingHttpHeaders,
  host: string,
  trust: Trust,
): VisitorFacts {
  const peerAddress = plainAddress(peer.remoteAddress ?? '');
  const facts: VisitorFacts = {
    remoteAddress: peerAddress,
    remotePort: peer.remotePort ?? 0,
    localAddress: plainAddress(peer.localAddress ?? ''),
    localPort: peer.localPort ?? 0,
    scheme: peer.encrypted ? 'https' : 'http',
    host,
  };
  if (!isTrusted(peerAddress, trust)) return facts;
  const scheme = lastOf(headers['x-forwarded-proto'])?.toLowerCase();
  const forwardedHost = lastOf(headers['x-forwarded-host']);
  return {
    ...facts,
    ...believedChain(peerAddress, headers['x-forwarded-for'], trust),
    scheme: scheme === 'https' || scheme === 'http' ? scheme : facts.scheme,
    ...(forwardedHost !== undefined && FORWARDED_HOST.test(forwardedHost) ? { forwardedHost } : {}),
  };
}

/** Fields in which only we tell who the client is, in any spelling that CGI makes one name of. */
export function isClaim(name: string): boolean {
  const dashed = name.includes('_') ? name.replaceAll('_', '-') : name;
  return CLAIMS.has(dashed) || dashed.startsWith('x-forwarded-');
}

/** The fields that tell the app who the client is. */
export function forwardedFields(visitor: VisitorFacts): string[] {
  const chain = [visitor.remoteAddress, ...(visitor.via ?? [])].filter((each) => each !== '');
  const host = visitor.forwardedHost ?? visitor.host;
  const nodes = chain.length === 0 ? ['unknown'] : chain;
  const elements = nodes.map((node) => `for=${node.includes(':') ? `"[${node}]"` : node}`);
  elements[0] += `;proto=${visitor.scheme}${host === '' ? '' : `;host="${host}"`}`;
  const fields = ['X-Forwarded-Proto', visitor.scheme, 'Forwarded', elements.join(', ')];
  if (chain.length > 0) fields.push('X-Forwarded-For', chain.join(', '));
  if (host !== '') fields.push('X-Forwarded-Host', host);
  return fields;
}

// --- internal ---

/** `proxy`: CGI-like servers make HTTP_PROXY of it, which HTTP clients obey (httpoxy). */
const CLAIMS = new Set(['forwarded', 'x-real-ip', 'proxy']);
const FORWARDED_HOST = /^[a-z0-9._-]+(?::\d{1,5})?$|^\[[0-9a-f:.]+\](?::\d{1,5})?$/i;
/** `[::1]`, `[::1]:80` and `1.2.3.4:80`, as some proxies write addresses. */
const BRACKETS_AND_PORT = /^\[(.*)\](?::\d+)?$|^([\d.]+):\d+$/;
/** A chain is as long as the proxies in a row; what is longer is made up. */
const CHAIN_MAX = 20;

/** From the right: proxies that we trust, then the first whom we do not: that is the client. */
function believedChain(
  peer: string,
  claim: string | string[] | undefined,
  trust: Trust,
): Pick<VisitorFacts, 'remoteAddress' | 'remotePort' | 'via'> | undefined {
  const claimed = String(claim ?? '').split(',');
  const via: string[] = peer === '' ? [] : [peer];
  let client: string | null = null;
  for (const each of claimed.toReversed().slice(0, CHAIN_MAX)) {
    const address = plainAddress(each.trim().replace(BRACKETS_AND_PORT, '$1$2'));
    if (isIP(address) === 0) break;
    if (client !== null) via.unshift(client);
    client = address;
    if (!isTrusted(address, trust)) break;
  }
  return client === null ? undefined : { remoteAddress: client, remotePort: 0, via };
}

function isTrusted(address: string, trust: Trust): boolean {
  if (address === '') return trust.unix;
  const { ranges } = trust;
  const family = ranges === null ? 0 : isIP(address);
  return family !== 0 && ranges!.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

function addRange(ranges: BlockList, entry: string): boolean {
  const [address = '', prefix] = entry.split('/');
  const family = isIP(address);
  if (family === 0) return false;
  const type = family === 6 ? 'ipv6' : 'ipv4';
  if (prefix === undefined) return (ranges.addAddress(address, type), true);
  const bits = /^\d{1,3}$/.test(prefix) ? Number(prefix) : Infinity;
  if (bits > (family === 6 ? 128 : 32)) return false;
  ranges.addSubnet(address, bits, type);
  return true;
}

/** An IPv4 client of a dual-stack socket is an IPv4 client. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

function lastOf(field: string | string[] | undefined): string | undefined {
  return field === undefined ? undefined : String(field).split(',').at(-1)?.trim();
}
