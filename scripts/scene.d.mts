import type { Dashboard } from '../src/dashboard/dashboard.ts';

export interface Scene {
  readonly url: string;
  readonly port: number;
  readonly dashboard: Dashboard;
  /** Lets that slot reach its limit with the next second. */
  ripen(slot: number): void;
  close(): Promise<void>;
}

/** Starts the scene; resolves to what a test needs of it. */
export function openScene(options?: {
  readonly port?: number;
  readonly slots?: number;
  /** How long it has been running already. */
  readonly seconds?: number;
  readonly latency?: boolean;
}): Promise<Scene>;
