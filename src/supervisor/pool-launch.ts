/** How the workers of a pool are started and led: by themselves, or behind its gateway. */
import type { PoolConfig } from '../config/load.ts';
import type { Kind } from '../config/kind.ts';
import type { Settings } from '../config/settings.ts';
import type { Policy } from '../control/types.ts';
import type { Launch } from './fleet.ts';
import type { GatewayLink } from './gateway-link.ts';
import { launchOf, policyWithin, type Means } from './launch.ts';
import {
  upstreamLaunchOf,
  upstreamPolicyOf,
  type UpstreamLaunchOptions,
} from './launch-upstream.ts';

export type PoolLaunchOptions = Omit<UpstreamLaunchOptions, 'settings' | 'link'> & {
  /** Null where the workers take connections themselves. */
  readonly link: GatewayLink | null;
};

export function poolLaunchOf(
  { settings, origins }: PoolConfig,
  { shareBytes }: Means,
  options: PoolLaunchOptions,
): Launch {
  const { kind, link, reserved } = options;
  if (link === null) return launchOf({ settings, origins }, shareBytes, { reserved });
  const isNode = kind.kind === 'node';
  const address = LOOPBACK;
  const node = isNode ? launchOf({ settings, origins }, shareBytes, { reserved, address }) : null;
  return upstreamLaunchOf({ ...options, settings, link }, node);
}

/** `behind`: what stands behind the gateway; null = the workers take connections themselves. */
export function poolPolicyOf(settings: Settings, means: Means, behind: Kind | null): Policy {
  const policy = policyWithin(settings, means);
  return behind === null ? policy : upstreamPolicyOf(policy, settings, behind);
}

/** The name of a pool beside the workers' own, where a metric or a log line needs one. */
export function nameBeside(pool: string, what: 'gateway' | 'health'): string {
  return pool === 'app' ? what : `${pool}-${what}`;
}

// --- internal ---

/** Any free port: behind the gateway nobody else has to know it. */
const LOOPBACK = { port: 0, host: '127.0.0.1' };
