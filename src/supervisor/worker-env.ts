/** The environment a worker starts with: the user's, less what was meant for the supervisor. */

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

/** systemd's variables would make an app notify or take sockets in our name. */
const SUPERVISOR_ONLY = new Set([
  'NOTIFY_SOCKET',
  'WATCHDOG_PID',
  'WATCHDOG_USEC',
  'LISTEN_FDS',
  'LISTEN_PID',
  'LISTEN_FDNAMES',
  'NODE_CHANNEL_FD',
  'NODE_CHANNEL_SERIALIZATION_MODE',
]);

function isOurs(name: string): boolean {
  return name.startsWith('COFFERDAM_') || SUPERVISOR_ONLY.has(name);
}
