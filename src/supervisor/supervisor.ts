/**
 * The composition of a running Cofferdam: its pools, its guard, the control socket, the ops
 * listener and the signals. Everything that happens is enqueued; the loops carry it out.
 */
import { performance } from 'node:perf_hooks';
import { kindOf } from '../config/kind.ts';
import type { Config } from '../config/load.ts';
import { controlSocketPath } from '../config/paths.ts';
import type { Outcome, PoolEvent, Told } from '../control/types.ts';
import type { CofferdamError } from '../errors.ts';
import type { Budget } from '../metrics/budget.ts';
import { announce, announceStart, labelled } from './announce.ts';
import { createAppPool, type AppPool, type AppPoolOptions } from './app-pool.ts';
import { budgetOf, meansOf } from './budget.ts';
import { createCommands, type Reloading } from './commands.ts';
import { openControlSocket, type ControlSocket } from './control-socket.ts';
import { exitCodeOf, worstOf } from './exit-code.ts';
import { createGenerations, type Generations } from './generations.ts';
import { startGuard, type Guard } from './guard.ts';
import { createHouse } from './house.ts';
import { openPortBook, type PortBook } from './launch-upstream.ts';
import { createWorkerFolder, type WorkerFolder } from './worker-folder.ts';
import type { Log } from './log.ts';
import { createObserver, type Observer } from './observer.ts';
import { watchOomKills } from './oom.ts';
import { openOps, type Ops } from './open-ops.ts';
import { watchPressure, type PressureWatch } from './pressure.ts';
import { planReload, tellFailure, tellReload } from './reload.ts';
import { startSampler, type Sampler } from './sampler.ts';
import { listenToSignals, type Request } from './signals.ts';
import { statusOf } from './status.ts';
import { activatedFor, createNotifier, readActivatedSockets, type Notifier } from './systemd.ts';
import { addDurations, askHealth, longestDrainMs, nameAmong, waitForReload } from './together.ts';
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
 * COF_APP_DOES_NOT_BOOT, COF_PORT_IN_USE, or what is wrong with the configuration.
 */
export async function supervise(options: SupervisorOptions): Promise<number> {
  const { pools } = options.config;
  const needsPorts = pools.some(
    ({ settings }) => kindOf(settings, process.cwd()).kind === 'command',
  );
  const ports = await openPortBook(needsPorts ? undefined : 0);
  try {
    return await new Supervisor(options, ports).run();
  } finally {
    ports.close();
  }
}

class Supervisor {
  readonly #log: Log;
  readonly #options: SupervisorOptions;
  readonly #startedAt = performance.now();
  readonly #waiters = createWaiters();
  readonly #house = createHouse(() => this.#pools);
  /** Configuration and budget, as pools have those of their own. */
  readonly #generations: Generations<{ readonly config: Config; readonly budget: Budget }>;
  readonly #guard: Guard;
  readonly #pools: readonly [AppPool, ...AppPool[]];
  readonly #sampler: Sampler;
  readonly #observer: Observer;
  readonly #pressure: PressureWatch;
  readonly #notifier: Notifier;
  readonly #outcomes = new Map<AppPool, Outcome>();
  /** Pools of which every worker has been ready once. */
  readonly #ready = new Set<string>();
  readonly #folder: WorkerFolder;
  #control: ControlSocket | null = null;
  #ops: Ops | null = null;
  #interrupts = 0;
  #isStopping = false;
  #finish: (outcome: Outcome) => void = () => {};

  constructor(options: SupervisorOptions, ports: PortBook) {
    this.#options = options;
    this.#log = options.log;
    const { config } = options;
    this.#generations = createGenerations({ config, budget: budgetOf(config) });
    this.#folder = createWorkerFolder(config.settings.name);
    const onFailure = (detail: string): void => this.#log.write('warn', 'systemd', { detail });
    this.#notifier = createNotifier({ onFailure });
    this.#guard = startGuard({
      graceMs: longestDrainMs(config) + ORPHAN_GRACE_EXTRA_MS,
      onExit: (detail) => this.#log.write('warn', 'no_guard', { detail }),
    });
    this.#sampler = startSampler({
      processes: () => this.#pools.flatMap((pool) => pool.sampled()),
      onOverhead: (bytes) => this.#house.sampled(bytes),
    });
    this.#pools = this.#createPools(ports) as [AppPool, ...AppPool[]];
    this.#pressure = watchPressure({ onPressure: () => this.#toAll({ type: 'pressure' }) });
    this.#observer = createObserver({
      pools: () => this.#pools,
      sampler: this.#sampler,
      version: options.version,
      budgetBytes: () => this.#ruling.budget.bytes,
    });
  }

  async run(): Promise<number> {
    const stopSignals = listenToSignals((request) => this.#request(request));
    try {
      this.#control = await this.#openControl();
      this.#folder.open();
      this.#ops = await this.#openOps();
      announceStart(this.#ruling.config, this.#ruling.budget, this.#options);
      const outcome = await new Promise<Outcome>((resolve) => {
        this.#finish = resolve;
        for (const pool of this.#pools) pool.start();
      });
      const culprit = [...this.#outcomes].find(([, each]) => each === outcome)?.[0];
      return exitCodeOf(outcome, {
        app: nameAmong(this.#pools, culprit),
        listenFailure: culprit?.listenFailure() ?? null,
        isHurried: this.#interrupts > 1,
        log: this.#log,
      });
    } finally {
      stopSignals();
      this.#close();
    }
  }

  /** The newest that was not taken back. */
  get #ruling(): { readonly config: Config; readonly budget: Budget } {
    return this.#generations.current();
  }

  #createPools(ports: PortBook): readonly AppPool[] {
    const { config: whole, budget } = this.#ruling;
    const { pools } = whole;
    const sockets = readActivatedSockets();
    const shared: AppPoolOptions['shared'] = {
      onPid: (pid, alive, blind) =>
        alive ? this.#guard.watch(pid, { blind }) : this.#guard.unwatch(pid),
      oomKilled: watchOomKills(),
      sampleNow: (worker) => this.#sampler.sample(worker),
    };
    return pools.map((config) => {
      const log = pools.length === 1 ? this.#log : labelled(this.#log, config.name);
      const pool: AppPool = createAppPool({
        config,
        means: meansOf(whole, budget),
        log,
        shared,
        folder: this.#folder.path,
        ports,
        activated: activatedFor(sockets, config.name, pools.length === 1),
        house: this.#house,
        told: (told) => this.#tell(pool, told, log),
        finished: (outcome) => this.#poolFinished(pool, outcome),
      });
      return pool;
    });
  }

  #openOps(): Promise<Ops | null> {
    return openOps({
      config: this.#ruling.config,
      log: this.#log,
      observer: this.#observer,
      status: () => this.#status(),
      health: (path) => askHealth(this.#pools, path),
      durations: () => addDurations(this.#pools),
    });
  }

  #openControl(): Promise<ControlSocket> {
    return openControlSocket(
      controlSocketPath(this.#ruling.config.settings.name, process.env),
      createCommands({
        pools: this.#pools,
        facts: () => this.#observer.facts(),
        waiters: this.#waiters,
        reload: () => this.#reload(),
        status: () => this.#status(),
      }),
    );
  }

  #tell(pool: AppPool, told: Told, log: Log): void {
    announce(told, {
      log,
      publish: (event) =>
        this.#control?.publish(this.#pools.length === 1 ? event : { ...event, pool: pool.name }),
    });
    this.#ops?.told(told, this.#pools.indexOf(pool));
    this.#waiters.told(told, pool.name);
    this.#generations.told(told, pool.workers.loop.state().epoch);
    this.#house.told(told, pool.name);
    if (told.event === 'all_ready') {
      this.#ready.add(pool.name);
      if (this.#ready.size === this.#pools.length) {
        this.#notifier.ready();
        this.#notifier.status(`serving ${this.#status().listen.join(' ')}`);
      }
    }
    if (told.event === 'stopping') this.#notifier.stopping();
  }

  /** All for one: where a pool cannot run, the others would be half a service. */
  #poolFinished(pool: AppPool, outcome: Outcome): void {
    this.#outcomes.set(pool, outcome);
    if (this.#outcomes.size === this.#pools.length) {
      this.#finish(worstOf([...this.#outcomes.values()]));
    } else if (!this.#isStopping) this.#stop('graceful');
  }

  #stop(mode: 'graceful' | 'now'): void {
    this.#isStopping = true;
    for (const pool of this.#pools) if (!this.#outcomes.has(pool)) pool.stop(mode);
  }

  #request(request: Request): void {
    switch (request.type) {
      case 'stop':
        return this.#stop('graceful');
      case 'interrupt':
        this.#interrupts += 1;
        return this.#stop(this.#interrupts === 1 ? 'graceful' : 'now');
      case 'reload':
        // The log has told why; a signal has nobody else to answer to.
        return void this.#reload().catch(() => {});
      case 'recycle_all':
        return this.#toAll({ type: 'recycle', slot: null, reason: 'manual' });
      case 'scale_by':
        return this.#toAll({ type: 'scale_by', slots: request.slots });
      case 'reopen_logs':
        return this.#log.write('info', 'usr1', { detail: 'logs go to stderr: nothing to reopen' });
    }
  }

  #toAll(event: PoolEvent): void {
    for (const { workers } of this.#pools) workers.loop.enqueue(event);
  }

  #reload(): Promise<Reloading> {
    const reload = this.#beginReload();
    this.#notifier.reloading(reload.then(({ through }) => through));
    return reload;
  }

  /** An invalid configuration changes nothing: the running one stays, and the caller hears why. */
  async #beginReload(): Promise<Reloading> {
    try {
      const { config: now } = this.#ruling;
      const { config, restart } = planReload(now, await this.#options.readConfig());
      const budget = budgetOf(config);
      const plans = this.#pools.map((pool, index) =>
        pool.planReload(config.pools[index]!, meansOf(config, budget)),
      );
      for (const apply of plans) apply();
      this.#generations.add({ config, budget });
      this.#observer.reloaded(true);
      tellReload(this.#log, config, restart);
      return { restart, through: waitForReload(this.#pools, this.#waiters) };
    } catch (error) {
      this.#observer.reloaded(false);
      tellFailure(this.#log, error as CofferdamError);
      throw error;
    }
  }

  #status(): ReturnType<typeof statusOf> {
    return statusOf({
      ...this.#ruling,
      startedAt: this.#startedAt,
      tree: this.#sampler.tree(),
      supervisorBytes: this.#sampler.supervisorBytes(),
      pools: this.#pools,
      ops: this.#ops?.url ?? null,
    });
  }

  #close(): void {
    for (const pool of this.#pools) pool.close();
    this.#observer.stop();
    this.#sampler.stop();
    this.#pressure.stop();
    this.#waiters.abandon();
    this.#ops?.close();
    this.#folder.close();
    this.#control?.close();
    this.#guard.dismiss();
  }
}
