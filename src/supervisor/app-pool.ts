/**
 * One pool of the configuration with all that belongs to it: its workers, the sockets that they or
 * the gateway in front of them listen on, and the workers that are kept for health checks.
 */
import { isBehindGateway, kindOf, nameOf, type Kind } from '../config/kind.ts';
import type { PoolConfig } from '../config/load.ts';
import type { Settings } from '../config/settings.ts';
import type { Outcome, Policy, Told } from '../control/types.ts';
import type { QueueReport } from '../data/gateway/messages.ts';
import { announce, labelled } from './announce.ts';
import type { AppAnswer } from './asks.ts';
import { worstOf } from './exit-code.ts';
import type { Launch } from './fleet.ts';
import { createGatewayLink, type GatewayLink } from './gateway-link.ts';
import { startHealth, type Health } from './health-pool.ts';
import { gatewayLaunchOf, gatewayPolicy, gatewaySettingsOf } from './launch-gateway.ts';
import { launchOf, policyWithin, type Means } from './launch.ts';
import { upstreamLaunchOf, type PortBook } from './launch-upstream.ts';
import { createListeners, urlOf, type Listeners } from './listeners.ts';
import type { Log } from './log.ts';
import { overdueTeller } from './overdue.ts';
import { createPoolRunner, type PoolRunner, type PoolRunnerOptions } from './pool-runner.ts';

export interface AppPoolOptions {
  readonly config: PoolConfig;
  readonly means: Means;
  readonly log: Log;
  readonly shared: Pick<PoolRunnerOptions, 'oomKilled' | 'sampleNow'> & {
    /** `blind`: a process that knows nothing of us, behind a gateway that does. */
    readonly onPid: (pid: number, alive: boolean, blind: boolean) => void;
  };
  /** Private folder for the sockets of workers, and free ports. */
  readonly folder: string;
  readonly ports: PortBook;
  told(told: Told): void;
  /** No process of the pool is left, and none will come. */
  finished(outcome: Outcome): void;
}

export interface AppPool {
  readonly name: string;
  readonly workers: PoolRunner;
  /** Who takes the requests in and counts them: the gateway, or the workers themselves. */
  readonly front: PoolRunner;
  readonly listeners: Listeners;
  /** Every pool of processes in it, the workers first. */
  runners(): readonly PoolRunner[];
  /** Workers that are kept for health checks; null while there are none. */
  health(): PoolRunner | null;
  settings(): Settings;
  /** What waits in the gateway; null where there is none. */
  queue(): QueueReport | null;
  /** For messages: what it runs, and what that failed to listen on last. */
  appName(): string;
  listenFailure(): string | null;
  start(): void;
  stop(mode: 'graceful' | 'now'): void;
  /** Throws, with exit code 2, what is wrong with it; else returns what puts it into effect. */
  planReload(config: PoolConfig, means: Means): () => void;
  askHealth(): Promise<AppAnswer>;
  close(): void;
}

export function createAppPool(options: AppPoolOptions): AppPool {
  return new Pool(options);
}

// --- internal ---

class Pool implements AppPool {
  readonly name: string;
  readonly workers: PoolRunner;
  readonly listeners = createListeners();
  readonly #options: AppPoolOptions;
  readonly #kind: Kind;
  readonly #link: GatewayLink | null;
  readonly #gateway: PoolRunner | null;
  readonly #health: Health;
  /** By configuration epoch. */
  readonly #launches = new Map<number, Launch>();
  #epoch = 0;
  #config: PoolConfig;
  #means: Means;
  #listenFailure: string | null = null;
  #workersOutcome: Outcome | null = null;
  #gatewayOutcome: Outcome | null = null;

  constructor(options: AppPoolOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#means = options.means;
    this.name = options.config.name;
    this.#kind = this.#kindOf(options.config);
    this.#link = isBehindGateway(options.config.settings, this.#kind) ? this.#createLink() : null;
    this.#launches.set(0, this.#launch(options.config, options.means));
    const policy = this.#policy(options.config);
    const { onPid } = options.shared;
    const isBlind = this.#link !== null && this.#kind.kind !== 'node';
    const common = {
      ...options.shared,
      onPid: (pid: number, alive: boolean) => onPid(pid, alive, isBlind),
      onListenFailure: (message: string) => void (this.#listenFailure = message),
      onOverdue: overdueTeller(options.log, this.#kind),
    };
    const listening = {
      listeners: this.listeners,
      onListening: (listener: Parameters<typeof urlOf>[0]) =>
        options.log.write('info', 'listening', { url: urlOf(listener) }),
    };
    const hidden = { listeners: createListeners(), onListening: () => {} };
    this.workers = createPoolRunner({
      ...common,
      ...(this.#link === null ? listening : hidden),
      name: this.name,
      // The gateway has waited already when these are told.
      policy: this.#link === null ? policy : { ...policy, shutdownDelayMs: 0 },
      launchOf: (epoch) => this.#launchOf(epoch),
      told: (told) => this.#workersTold(told),
      finished: (outcome) => this.#workersFinished(outcome),
    });
    this.#gateway =
      this.#link === null
        ? null
        : this.#createGateway(this.#link, policy, {
            ...common,
            onPid: (pid, alive) => onPid(pid, alive, false),
            ...listening,
          });
    this.#health = startHealth({
      ...common,
      // Beside the workers they inherit the same sockets, but never accept on them.
      listeners: this.#link === null ? this.listeners : createListeners(),
      name: nameBeside(this.name, 'health'),
      app: this.workers,
      settings: () => this.#config.settings,
      launch: () => this.#launch(this.#config, this.#means, true),
      log: options.log,
      ask: this.#link === null ? null : (path, timeoutMs) => this.#link!.ask(path, timeoutMs),
    });
  }

  get front(): PoolRunner {
    return this.#gateway ?? this.workers;
  }

  runners(): readonly PoolRunner[] {
    return [this.workers, this.#gateway, this.health()].filter((runner) => runner != null);
  }

  health(): PoolRunner | null {
    return this.#health?.pool() ?? null;
  }

  settings(): Settings {
    return this.#config.settings;
  }

  queue(): QueueReport | null {
    return this.#link?.queue() ?? null;
  }

  appName(): string {
    return nameOf(this.#config.settings);
  }

  listenFailure(): string | null {
    return this.#listenFailure;
  }

  start(): void {
    this.front.loop.enqueue({ type: 'start' });
  }

  stop(mode: 'graceful' | 'now'): void {
    this.front.loop.enqueue({ type: 'stop', mode });
    if (this.#gateway !== null && mode === 'now') this.workers.loop.enqueue({ type: 'stop', mode });
  }

  planReload(config: PoolConfig, means: Means): () => void {
    const launch = this.#launch(config, means);
    return () => {
      this.#epoch += 1;
      this.#launches.set(this.#epoch, launch);
      this.#config = config;
      this.#means = means;
      this.#link?.configure(gatewaySettingsOf(config.settings, this.#kind));
      this.workers.loop.enqueue({ type: 'reload', policy: this.#policy(config) });
    };
  }

  askHealth(): Promise<AppAnswer> {
    return this.#health.ask();
  }

  close(): void {
    for (const runner of this.runners()) runner.stop();
    this.#health.close();
    this.listeners.close();
  }

  #kindOf({ settings }: PoolConfig): Kind {
    return kindOf(settings, process.cwd(), { ...process.env, ...settings.env });
  }

  #launch({ settings, origins }: PoolConfig, means: Means, reserved = false): Launch {
    const kind = this.#kindOf({ name: this.name, settings, origins });
    const { folder, ports } = this.#options;
    const link = this.#link;
    if (link === null) return launchOf({ settings, origins }, means.shareBytes, { reserved });
    const node =
      kind.kind === 'node'
        ? launchOf({ settings, origins }, means.shareBytes, { reserved, address: LOOPBACK })
        : null;
    return upstreamLaunchOf({ settings, kind, link, folder, ports, reserved }, node);
  }

  /** Effects come in the order of their epochs: older launches are not asked for any more. */
  #launchOf(epoch: number): Launch {
    for (const older of this.#launches.keys()) if (older < epoch) this.#launches.delete(older);
    return this.#launches.get(epoch) ?? this.#launch(this.#config, this.#means);
  }

  #policy({ settings }: PoolConfig): Policy {
    const policy = policyWithin(settings, this.#means);
    // V8's heap is what the heal and its limits are about.
    return this.#kind.kind === 'node' ? policy : { ...policy, heal: false, roomBytes: 0 };
  }

  #createLink(): GatewayLink {
    return createGatewayLink({
      log: ({ level, event, fields }) => this.#options.log.write(level, event, fields),
      onQueue: () => {},
    });
  }

  #createGateway(
    link: GatewayLink,
    policy: Policy,
    common: Omit<PoolRunnerOptions, 'name' | 'policy' | 'launchOf' | 'told' | 'finished'>,
  ): PoolRunner {
    const log = labelled(this.#options.log, 'gateway');
    return createPoolRunner({
      ...common,
      name: nameBeside(this.name, 'gateway'),
      policy: gatewayPolicy(policy),
      launchOf: () => gatewayLaunchOf({ settings: this.#config.settings, kind: this.#kind, link }),
      told: (told) => {
        if (told.event === 'leaving' || told.event === 'stopping') this.#tell(told);
        else announce(told, { log, publish: () => {} });
        if (told.event === 'all_ready') this.workers.loop.enqueue({ type: 'start' });
      },
      finished: (outcome) => this.#gatewayFinished(outcome),
    });
  }

  #workersTold(told: Told): void {
    // With a gateway the end of the pool is the end of that; it was told.
    if (told.event !== 'stopping' || this.#gateway === null) this.#tell(told);
  }

  #tell(told: Told): void {
    this.#health.appTold(told);
    if (told.event === 'stopping') {
      this.front.fleet.stopHandover();
      // The workers close theirs, too: who comes now shall hear it at once, not after the drain.
      this.listeners.close();
    }
    this.#options.told(told);
  }

  #gatewayFinished(outcome: Outcome): void {
    this.#gatewayOutcome = outcome;
    if (this.#workersOutcome !== null) return this.#finish();
    if (outcome.type !== 'never_booted') {
      // Nobody sends them anything any more.
      return this.workers.loop.enqueue({ type: 'stop', mode: 'graceful' });
    }
    this.#workersOutcome = outcome;
    this.#finish();
  }

  #workersFinished(outcome: Outcome): void {
    this.#workersOutcome = outcome;
    if (this.#gateway === null || this.#gatewayOutcome !== null) return this.#finish();
    this.#gateway.loop.enqueue({ type: 'stop', mode: 'now' });
  }

  #finish(): void {
    const outcomes = [this.#workersOutcome, this.#gatewayOutcome].filter((each) => each !== null);
    void this.#health.end().then(() => this.#options.finished(worstOf(outcomes)));
  }
}

/** Any free port: behind the gateway nobody else has to know it. */
const LOOPBACK = { port: 0, host: '127.0.0.1' };

/** The name of a pool beside the workers' own, where a metric or a log line needs one. */
function nameBeside(pool: string, what: 'gateway' | 'health'): string {
  return pool === 'app' ? what : `${pool}-${what}`;
}
