/**
 * One pool of the configuration with all that belongs to it: its workers, the sockets that they or
 * the gateway in front of them listen on, and the workers that are kept for health checks.
 */
import { isBehindGateway, kindOf, nameOf, type Kind } from '../config/kind.ts';
import type { PoolConfig } from '../config/load.ts';
import type { Settings } from '../config/settings.ts';
import type { Outcome, Policy, Told } from '../control/types.ts';
import type { QueueReport } from '../data/gateway/messages.ts';
import type { AppAnswer } from './asks.ts';
import type { Launch } from './fleet.ts';
import { createGenerations, type Generation, type Generations } from './generations.ts';
import { createGatewayLink, type GatewayLink } from './gateway-link.ts';
import { startHealth, type Health } from './health-pool.ts';
import { badMessageTeller, listeningTeller } from './announce.ts';
import type { House } from './house.ts';
import { createGatewayPool } from './gateway-pool.ts';
import { gatewayLaunchOf, gatewaySettingsOf } from './launch-gateway.ts';
import type { Means } from './launch.ts';
import type { PortBook } from './launch-upstream.ts';
import { createListeners, type Listeners, type OpenedSocket } from './listeners.ts';
import type { Log } from './log.ts';
import { readFamilyMemory } from '../metrics/process-memory.ts';
import { lateTeller } from './late.ts';
import { createPoolEnd, type PoolEnd } from './pool-end.ts';
import { nameBeside, poolLaunchOf, poolPolicyOf } from './pool-launch.ts';
import { createPoolRunner, type PoolRunner, type PoolRunnerOptions } from './pool-runner.ts';
import type { Sampled } from './sampler.ts';
import { createZygotes, type Zygotes } from './zygotes.ts';

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
  /** Listening sockets that a service manager opened for this pool. */
  readonly activated: readonly OpenedSocket[];
  readonly house: House;
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
  /** Every process in it, for the sampler. */
  sampled(): readonly Sampled[];
  /** Memory of those that are no workers, and what the workers share, bytes. */
  commonBytes(): number;
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
  readonly listeners: Listeners;
  readonly #zygotes: Zygotes;
  readonly #options: AppPoolOptions;
  readonly #kind: Kind;
  readonly #link: GatewayLink | null;
  readonly #gateway: PoolRunner | null;
  readonly #health: Health;
  readonly #generations: Generations<Generation>;
  readonly #end: PoolEnd;
  #listenFailure: string | null = null;

  constructor(options: AppPoolOptions) {
    this.#options = options;
    this.listeners = createListeners(options.activated);
    this.name = options.config.name;
    this.#kind = this.#kindOf(options.config);
    const { config, means, folder } = options;
    this.#zygotes = createZygotes({
      folder,
      stderr: process.stderr,
      onPid: (pid, alive) => options.shared.onPid(pid, alive, true),
    });
    this.#end = createPoolEnd({
      workers: () => this.workers,
      gateway: () => this.#gateway,
      rest: () => Promise.all([this.#health.end(), this.#zygotes.end()]),
      finished: (outcome) => options.finished(outcome),
    });
    this.#link = isBehindGateway(config.settings, this.#kind) ? this.#createLink() : null;
    this.#generations = createGenerations({ config, means, launch: this.#launch(config, means) });
    const policy = this.#policy(config, means);
    const { onPid } = options.shared;
    const isBlind = this.#link !== null && this.#kind.kind !== 'node';
    const isProgram = this.#kind.kind === 'command';
    const common = {
      ...options.shared,
      onPid: (pid: number, alive: boolean) => onPid(pid, alive, isBlind),
      onListenFailure: (message: string) => void (this.#listenFailure = message),
      onLate: lateTeller(options.log, this.#kind),
      onBadMessage: badMessageTeller(options.log),
    };
    const listening = {
      listeners: this.listeners,
      onListening: listeningTeller(options.log),
    };
    const hidden = { listeners: createListeners(), onListening: () => {} };
    this.workers = createPoolRunner({
      ...common,
      ...(this.#link === null ? listening : hidden),
      name: this.name,
      forks: isProgram,
      readMemory: isProgram ? readFamilyMemory : (pid) => this.#zygotes.readMemory(pid),
      // The gateway has waited already when these are told.
      policy: this.#link === null ? policy : { ...policy, shutdownDelayMs: 0 },
      launchOf: (epoch) => this.#generations.at(epoch).launch,
      house: options.house.doorOf(this.name),
      told: (told) => this.#workersTold(told),
      finished: (outcome) => this.#end.workersFinished(outcome),
    });
    this.#gateway =
      this.#link === null
        ? null
        : this.#createGateway(this.#link, policy, {
            ...common,
            ...listening,
            onPid: (pid, alive) => onPid(pid, alive, false),
          });
    this.#health = startHealth({
      ...common,
      // Beside the workers they inherit the same sockets, but never accept on them.
      listeners: this.#link === null ? this.listeners : createListeners(),
      name: nameBeside(this.name, 'health'),
      app: this.workers,
      settings: () => this.settings(),
      launch: () => {
        const { config, means } = this.#generations.current();
        return this.#launch(config, means, true);
      },
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

  sampled(): readonly Sampled[] {
    return [...this.runners(), this.#zygotes].flatMap((each) => each.sampled());
  }

  commonBytes(): number {
    return this.#zygotes.bytes();
  }

  health(): PoolRunner | null {
    return this.#health?.pool() ?? null;
  }

  settings(): Settings {
    return this.#generations.current().config.settings;
  }

  queue(): QueueReport | null {
    return this.#link?.queue() ?? null;
  }

  appName(): string {
    return nameOf(this.settings());
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
      this.#generations.add({ config, means, launch });
      this.#configureGateway();
      const policy = this.#policy(config, means);
      const isJoint = this.#options.house.isShared();
      this.workers.loop.enqueue({ type: 'reload', policy, isJoint });
    };
  }

  /** What concerns no worker follows the configuration at once. */
  #configureGateway(): void {
    this.#link?.configure(gatewaySettingsOf(this.settings(), this.#kind));
  }

  askHealth(): Promise<AppAnswer> {
    return this.#health.ask();
  }

  close(): void {
    for (const runner of this.runners()) runner.stop();
    this.#health.close();
    this.#zygotes.close();
    this.listeners.close();
  }

  #kindOf({ settings }: PoolConfig): Kind {
    return kindOf(settings, process.cwd(), { ...process.env, ...settings.env });
  }

  #launch(config: PoolConfig, means: Means, reserved = false): Launch {
    return poolLaunchOf(config, means, {
      ...this.#options,
      kind: this.#kindOf(config),
      link: this.#link,
      zygotes: this.#zygotes,
      reserved,
    });
  }

  #policy({ settings }: PoolConfig, means: Means): Policy {
    return poolPolicyOf(settings, means, this.#link === null ? null : this.#kind);
  }

  #createLink(): GatewayLink {
    return createGatewayLink({
      log: ({ level, event, fields }) => this.#options.log.write(level, event, fields),
      onQueue: ({ depth }) =>
        this.workers.loop.enqueue({ type: 'demand', waiting: depth, oldestMs: 0 }),
    });
  }

  #createGateway(
    link: GatewayLink,
    policy: Policy,
    common: Omit<PoolRunnerOptions, 'name' | 'policy' | 'launchOf' | 'told' | 'finished'>,
  ): PoolRunner {
    return createGatewayPool({
      ...common,
      name: nameBeside(this.name, 'gateway'),
      policy,
      log: this.#options.log,
      launchOf: () => gatewayLaunchOf({ settings: this.settings(), kind: this.#kind, link }),
      told: (told) => this.#tell(told),
      ready: () => this.workers.loop.enqueue({ type: 'start' }),
      finished: (outcome) => this.#end.gatewayFinished(outcome),
    });
  }

  #workersTold(told: Told): void {
    if (this.#generations.told(told, this.workers.loop.state().epoch)) this.#configureGateway();
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
}
