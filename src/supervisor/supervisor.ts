/**
 * The composition of a running Cofferdam: the pool of the app, its listening sockets, its guard,
 * the control socket, the ops listener and the signals. Everything that happens is enqueued; the
 * loop carries it out.
 */
import { performance } from 'node:perf_hooks';
import type { Config } from '../config/load.ts';
import { controlSocketPath } from '../config/paths.ts';
import type { SettingKey } from '../config/settings.ts';
import type { Outcome, Told } from '../control/types.ts';
import type { CofferdamError } from '../errors.ts';
import type { Budget } from '../metrics/budget.ts';
import { announce, announceStart } from './announce.ts';
import { budgetOf } from './budget.ts';
import { createCommands } from './commands.ts';
import { openControlSocket, type ControlSocket } from './control-socket.ts';
import type { Launch } from './fleet.ts';
import { exitCodeOf } from './exit-code.ts';
import { startGuard, type Guard } from './guard.ts';
import { startHealth, type Health } from './health-pool.ts';
import { launchOf, policyWithin } from './launch.ts';
import { createListeners, urlOf } from './listeners.ts';
import type { Log } from './log.ts';
import { createObserver, type Observer } from './observer.ts';
import { watchOomKills } from './oom.ts';
import { openOps, type Ops } from './open-ops.ts';
import { createPoolRunner, type PoolRunner, type PoolRunnerOptions } from './pool-runner.ts';
import { watchPressure, type PressureWatch } from './pressure.ts';
import { planReload, tellFailure, tellReload } from './reload.ts';
import { startSampler, type Sampler } from './sampler.ts';
import { listenToSignals, type Request } from './signals.ts';
import { statusOf } from './status.ts';
import { createNotifier, type Notifier } from './systemd.ts';
import { createWaiters } from './waiters.ts';

export interface SupervisorOptions {
  readonly config: Config;
  /** Reads the configuration anew; rejects with a CofferdamError when it is invalid. */
  readConfig(): Promise<Config>;
  readonly log: Log;
  readonly version: string;
}

/** Workers may finish so long when we are killed; then the guard ends them. */
const ORPHAN_GRACE_EXTRA_MS = 1000;

/**
 * Runs until it is told to stop; resolves to the exit code. Rejects with COF_ALREADY_RUNNING,
 * COF_APP_DOES_NOT_BOOT or COF_PORT_IN_USE.
 */
export async function supervise(options: SupervisorOptions): Promise<number> {
  const supervisor = new Supervisor(options);
  return supervisor.run();
}

class Supervisor {
  readonly #log: Log;
  readonly #options: SupervisorOptions;
  readonly #startedAt = performance.now();
  readonly #listeners = createListeners();
  readonly #waiters = createWaiters();
  #budget: Budget;
  readonly #guard: Guard;
  readonly #pool: PoolRunner;
  readonly #sampler: Sampler;
  readonly #observer: Observer;
  readonly #health: Health;
  readonly #pressure: PressureWatch;
  readonly #notifier: Notifier;
  #config: Config;
  /** By configuration epoch. */
  readonly #launches = new Map<number, Launch>();
  #epoch = 0;
  #control: ControlSocket | null = null;
  #ops: Ops | null = null;
  #listenFailure: string | null = null;
  #interrupts = 0;
  #finish: (outcome: Outcome) => void = () => {};

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#config = options.config;
    const { settings } = options.config;
    this.#budget = budgetOf(settings);
    this.#launches.set(this.#epoch, launchOf(options.config, this.#budget.bytes));
    this.#notifier = createNotifier({
      onFailure: (detail) => this.#log.write('warn', 'systemd', { detail }),
    });
    this.#guard = startGuard({
      graceMs: settings.drainTimeoutMs + ORPHAN_GRACE_EXTRA_MS,
      onExit: (detail) => this.#log.write('warn', 'no_guard', { detail }),
    });
    this.#sampler = startSampler({
      workers: () => this.#pools().flatMap((pool) => pool.sampled()),
      onOverhead: (bytes) => this.#pool.loop.enqueue({ type: 'overhead', bytes }),
    });
    const shared = this.#sharedParts();
    this.#pool = createPoolRunner({
      ...shared,
      name: 'app',
      policy: policyWithin(settings, this.#budget.bytes),
      launchOf: (epoch) => this.#launchOf(epoch),
      onListening: (listener) => this.#log.write('info', 'listening', { url: urlOf(listener) }),
      onListenFailure: (message) => (this.#listenFailure = message),
      told: (told) => this.#tell(told),
      finished: (outcome) => void this.#health.end().then(() => this.#finish(outcome)),
    });
    this.#health = startHealth({
      ...shared,
      app: this.#pool,
      settings: () => this.#config.settings,
      launch: () => launchOf(this.#config, this.#budget.bytes, { reserved: true }),
      log: this.#log,
    });
    this.#pressure = watchPressure({
      onPressure: () => this.#pool.loop.enqueue({ type: 'pressure' }),
    });
    this.#observer = createObserver({
      pools: () => this.#pools(),
      settings: () => this.#config.settings,
      sampler: this.#sampler,
      version: options.version,
      budgetBytes: () => this.#budget.bytes,
      ports: () => this.#listeners.ports(),
    });
  }

  async run(): Promise<number> {
    const stopSignals = listenToSignals((request) => this.#request(request));
    try {
      this.#control = await this.#openControl();
      this.#ops = await this.#openOps();
      announceStart(this.#config, this.#budget, this.#options);
      const outcome = await new Promise<Outcome>((resolve) => {
        this.#finish = resolve;
        this.#pool.loop.enqueue({ type: 'start' });
      });
      const { settings } = this.#config;
      const isHurried = this.#interrupts > 1;
      return exitCodeOf(outcome, {
        app: settings.app ?? '',
        listenFailure: this.#listenFailure,
        isHurried,
        log: this.#log,
      });
    } finally {
      stopSignals();
      this.#close();
    }
  }

  #pools(): readonly [PoolRunner, ...PoolRunner[]] {
    const health = this.#health?.pool() ?? null;
    return health === null ? [this.#pool] : [this.#pool, health];
  }

  /** Effects come in the order of their epochs: older launches are not asked for any more. */
  #launchOf(epoch: number): Launch {
    for (const older of this.#launches.keys()) if (older < epoch) this.#launches.delete(older);
    return this.#launches.get(epoch) ?? launchOf(this.#config, this.#budget.bytes);
  }

  /** What the pools have in common. */
  #sharedParts(): Pick<PoolRunnerOptions, 'listeners' | 'onPid' | 'oomKilled' | 'sampleNow'> {
    return {
      listeners: this.#listeners,
      onPid: (pid, alive) => (alive ? this.#guard.watch(pid) : this.#guard.unwatch(pid)),
      oomKilled: watchOomKills(),
      sampleNow: (worker) => this.#sampler.sample(worker),
    };
  }

  #openOps(): Promise<Ops | null> {
    return openOps({
      config: this.#config,
      log: this.#log,
      observer: this.#observer,
      status: () => this.#status(),
      health: () => this.#health.ask(),
      durations: () => this.#pool.ledger.counters().durations,
    });
  }

  #openControl(): Promise<ControlSocket> {
    const path = controlSocketPath(this.#config.settings.name, process.env);
    return openControlSocket(
      path,
      createCommands({
        loop: this.#pool.loop,
        facts: () => this.#observer.facts(),
        waiters: this.#waiters,
        reload: () => this.#reload(),
        status: () => this.#status(),
      }),
    );
  }

  #tell(told: Told): void {
    announce(told, { log: this.#log, publish: (event) => this.#control?.publish(event) });
    this.#ops?.told(told);
    this.#waiters.told(told);
    this.#health.appTold(told);
    if (told.event === 'all_ready') this.#notifier.ready();
    if (told.event === 'stopping') {
      this.#pool.fleet.stopHandover();
      this.#notifier.stopping();
      // The workers close theirs, too: who comes now shall hear it at once, not after the drain.
      this.#listeners.close();
    }
  }

  #request(request: Request): void {
    switch (request.type) {
      case 'stop':
        return this.#pool.loop.enqueue({ type: 'stop', mode: 'graceful' });
      case 'interrupt':
        this.#interrupts += 1;
        return this.#pool.loop.enqueue({
          type: 'stop',
          mode: this.#interrupts === 1 ? 'graceful' : 'now',
        });
      case 'reload':
        // The log has told why; a signal has nobody else to answer to.
        this.#reload().catch(() => {});
        return;
      case 'recycle_all':
        return this.#pool.loop.enqueue({ type: 'recycle', slot: null, reason: 'manual' });
      case 'scale_by':
        return this.#pool.loop.enqueue({
          type: 'scale',
          slots: this.#pool.loop.state().size + request.slots,
        });
      case 'reopen_logs':
        return this.#log.write('info', 'usr1', {
          detail: 'logs go to stderr, there is nothing to reopen',
        });
    }
  }

  /** An invalid configuration changes nothing: the running one stays, and the caller hears why. */
  async #reload(): Promise<readonly SettingKey[]> {
    try {
      const { config, restart } = planReload(this.#config, await this.#options.readConfig());
      const budget = budgetOf(config.settings);
      this.#launches.set(this.#epoch + 1, launchOf(config, budget.bytes));
      this.#epoch += 1;
      this.#config = config;
      this.#budget = budget;
      this.#pool.loop.enqueue({
        type: 'reload',
        policy: policyWithin(config.settings, budget.bytes),
      });
      this.#observer.reloaded(true);
      tellReload(this.#log, config, restart);
      return restart;
    } catch (error) {
      this.#observer.reloaded(false);
      tellFailure(this.#log, error as CofferdamError);
      throw error;
    }
  }

  #status(): ReturnType<typeof statusOf> {
    return statusOf({
      config: this.#config,
      startedAt: this.#startedAt,
      budget: this.#budget,
      tree: this.#sampler.tree(),
      supervisorBytes: this.#sampler.supervisorBytes(),
      urls: this.#listeners.all().map(urlOf),
      pool: this.#pool.loop.state(),
      ledger: this.#pool.ledger,
      ops: this.#ops?.url ?? null,
    });
  }

  #close(): void {
    this.#pool.stop();
    this.#health.close();
    this.#observer.stop();
    this.#sampler.stop();
    this.#pressure.stop();
    this.#waiters.abandon();
    this.#ops?.close();
    this.#listeners.close();
    this.#control?.close();
    this.#guard.dismiss();
  }
}
