/** The arithmetic of the memory budget: what pools need at the very least. */
import { formatBytes, formatCount } from './units.ts';

const MIB = 2 ** 20;

export type KindName = 'node' | 'php' | 'command';

/**
 * What one worker needs before it does any work: below that no limit can hold, whatever it serves.
 * Anonymous memory, as measured: a bare Node worker has 8-14 MiB, with Express 13-18, and 20-30 as
 * soon as it works; php-cgi has 6 before its first script, less without extensions. A program may
 * be anything: Python's own http.server has 11, a Go service 2-4, and one in C less than 1.
 */
export const FLOOR_BYTES: Readonly<Record<KindName, number>> = {
  node: 32 * MIB,
  php: 4 * MIB,
  command: 1 * MIB,
};

/** Aim for the supervisor's own private memory; counted in every budget. */
export const SUPERVISOR_BYTES = 25 * MIB;

/** The processes of one pool. */
export interface Crew {
  readonly kind: KindName;
  readonly workers: number;
  /** Workers that are kept for health checks. */
  readonly reserved: number;
  readonly surge: number;
  /** A gateway, which is a Node worker of ours, stands in front of them. */
  readonly hasGateway: boolean;
}

/** All pools together: the budget holds one pool's surge, whichever needs it. */
export function addUp(crews: readonly Crew[]): Pick<Crew, 'workers' | 'reserved' | 'surge'> {
  return {
    workers: crews.reduce((sum, { workers }) => sum + workers, 0),
    reserved: crews.reduce((sum, { reserved }) => sum + reserved, 0),
    surge: Math.max(0, ...crews.map(({ surge }) => surge)),
  };
}

/** Below this, the budget is broken before the first request. */
export function leastBudgetBytes(crews: readonly Crew[]): number {
  const sum = groupsOf(crews).reduce((total, group) => total + bytesOf(group), 0);
  return sum + besideBytes(crews);
}

/** `(2 workers + 1 surge) x 32MiB + 25MiB supervisor = 121MiB`. */
export function explainLeastBudget(crews: readonly Crew[]): string {
  const groups = groupsOf(crews);
  const terms = groups.map((group) => explainGroup(group, groups.length > 1));
  const gateways = countGateways(crews);
  const each = formatBytes(FLOOR_BYTES.node);
  if (gateways > 0)
    terms.push(gateways === 1 ? `${each} gateway` : `${gateways} gateways x ${each}`);
  terms.push(`${formatBytes(SUPERVISOR_BYTES)} supervisor`);
  return `${terms.join(' + ')} = ${formatBytes(leastBudgetBytes(crews))}`;
}

/** Bytes that each worker may use when all of them, surge included, are equal; never negative. */
export function workerShareBytes(budgetBytes: number, crews: readonly Crew[]): number {
  const { workers, reserved, surge } = addUp(crews);
  const all = workers + reserved + surge;
  return Math.max(0, Math.floor((budgetBytes - besideBytes(crews)) / all));
}

// --- internal ---

/** The workers of one kind. */
type Group = Omit<Crew, 'hasGateway'>;

/** Only the group whose surge is the most expensive keeps it. */
function groupsOf(crews: readonly Crew[]): readonly Group[] {
  const kinds = [...new Set(crews.map(({ kind }) => kind))];
  const groups = kinds.map((kind) => ({
    kind,
    ...addUp(crews.filter((crew) => crew.kind === kind)),
  }));
  const costs = groups.map(({ kind, surge }) => surge * FLOOR_BYTES[kind]);
  const dearest = costs.indexOf(Math.max(...costs));
  return groups.map((group, at) => (at === dearest ? group : { ...group, surge: 0 }));
}

function bytesOf({ kind, workers, reserved, surge }: Group): number {
  return (workers + reserved + surge) * FLOOR_BYTES[kind];
}

function explainGroup({ kind, workers, reserved, surge }: Group, isOneOfMany: boolean): string {
  const name = isOneOfMany ? `${kind} worker` : 'worker';
  const count = formatCount(workers, name);
  const each = formatBytes(FLOOR_BYTES[kind]);
  const health = reserved > 0 ? ` + ${reserved} for health checks` : '';
  return `(${count}${health} + ${surge} surge) x ${each}`;
}

function besideBytes(crews: readonly Crew[]): number {
  return SUPERVISOR_BYTES + countGateways(crews) * FLOOR_BYTES.node;
}

function countGateways(crews: readonly Crew[]): number {
  return crews.filter(({ hasGateway }) => hasGateway).length;
}
