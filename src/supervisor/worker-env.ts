/** The environment a worker starts with: the user's, less what was meant for the supervisor. */
import { SYSTEMD_VARIABLES } from './systemd.ts';

export interface WorkerEnvOptions {
  readonly parent: NodeJS.ProcessEnv;
  /** `[env]` of the configuration. */
  readonly extra: Readonly<Record<string, string>>;
  readonly port: number;
  /** Null when nobody asked for a host: the app then keeps its own default. */
  readonly host: string | null;
}

export function workerEnv(options: WorkerEnvOptions): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.parent)) {
    if (value !== undefined && !isOurs(name)) env[name] = value;
  }
  env['PORT'] = String(options.port);
  if (options.host !== null) env['HOST'] = options.host;
  return { ...env, ...options.extra };
}

// --- internal ---

/** What belongs to the channel between us and whoever started us. */
const CHANNEL_VARIABLES = ['NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE'];

const SUPERVISOR_ONLY: ReadonlySet<string> = new Set([...SYSTEMD_VARIABLES, ...CHANNEL_VARIABLES]);

function isOurs(name: string): boolean {
  return name.startsWith('COFFERDAM_') || SUPERVISOR_ONLY.has(name);
}
