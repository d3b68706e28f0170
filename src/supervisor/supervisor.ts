/**
 * The composition of a running Cofferdam: one pool of workers, its listening sockets, its guard,
 * the control socket and the signals. Everything that happens is enqueued; the loop carries it
 * out.
 */
import { performance } from 'node:perf_hooks';
import type { Config } from '../config/load.ts';
import { controlSocketPath } from '../config/paths.ts';
import { policyOf } from '../config/policy.ts';
import type { SettingKey } from '../config/settings.ts';
import { adviseOn } from '../config/validate.ts';
import type { Effect, Outcome, Told, WorkerId } from '../control/types.ts';
import { type CofferdamError, EXIT } from '../errors.ts';
import type { Budget } from '../metrics/budget.ts';
import { readWorkerMemory } from '../metrics/process-memory.ts';
import { announce } from './announce.ts';
import { budgetOf } from './budget.ts';
import { createCommands } from './commands.ts';
import { openControlSocket, type ControlSocket } from './control-socket.ts';
import { explainNoBoot } from './explain.ts';
import { createFleet, type Fleet, type Launch } from './fleet.ts';
import { startGuard, type Guard } from './guard.ts';
import { launchOf, policyWithin, v8FlagsOf } from './launch.ts';
import { createListeners, urlOf } from './listeners.ts';
import type { Log } from './log.ts';
import { createLoop, type Loop } from './loop.ts';
import { watchOomKills } from './oom.ts';
import { watchPressure, type PressureWatch } from './pressure.ts';
import { planReload } from './reload.ts';
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

/** 128 + SIGINT: the exit code after the second Ctrl-C. */
export const EXIT_INTERRUPTED = 130;

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
  readonly #fleet: Fleet;
  readonly #guard: Guard;
  readonly #loop: Loop;
  readonly #sampler: Sampler;
  readonly #pressure: PressureWatch;
  readonly #notifier: Notifier;
  #config: Config;
  /** By configuration epoch. */
  readonly #launches = new Map<number, Launch>();
  #epoch = 0;
  #control: ControlSocket | null = null;
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
    this.#fleet = createFleet({
      listeners: this.#listeners,
      launchOf: (epoch) => this.#launchOf(epoch),
      emit: (event) => this.#loop.enqueue(event),
      onListening: (listener) => this.#log.write('info', 'listening', { url: urlOf(listener) }),
      onListenFailure: (message) => (this.#listenFailure = message),
      onPid: (pid, alive) => (alive ? this.#guard.watch(pid) : this.#guard.unwatch(pid)),
      onMoment: (worker, pid) => this.#sampler.sample(worker, pid),
      onHealed: (worker, pid, tookMs) => this.#healed(worker, pid, tookMs),
      oomKilled: watchOomKills(),
      isStopping: () => this.#loop.state().phase.type === 'stopping',
      now: () => performance.now(),
    });
    this.#loop = createLoop({
      policy: policyWithin(settings, this.#budget.bytes),
      perform: (effect) => this.#perform(effect),
      now: () => performance.now(),
      random: () => Math.random(),
    });
    this.#pressure = watchPressure({ onPressure: () => this.#loop.enqueue({ type: 'pressure' }) });
    this.#sampler = startSampler({
      workers: () => this.#fleet.pids(),
      emit: (event) => this.#loop.enqueue(event),
    });
  }

  async run(): Promise<number> {
    const stopSignals = listenToSignals((request) => this.#request(request));
    try {
      this.#control = await this.#openControl();
      this.#logStart();
      const outcome = await new Promise<Outcome>((resolve) => {
        this.#finish = resolve;
        this.#loop.enqueue({ type: 'start' });
      });
      return this.#exitCodeOf(outcome);
    } finally {
      stopSignals();
      this.#close();
    }
  }

  #openControl(): Promise<ControlSocket> {
    const path = controlSocketPath(this.#config.settings.name, process.env);
    return openControlSocket(
      path,
      createCommands({
        loop: this.#loop,
        waiters: this.#waiters,
        reload: () => this.#reload(),
        status: () => this.#status(),
      }),
    );
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case 'spawn':
        return this.#fleet.spawn(effect);
      case 'drain':
        return this.#fleet.drain(effect);
      case 'cut':
        return this.#fleet.cut(effect.worker, effect.scope);
      case 'heal':
        return this.#fleet.heal(effect.worker);
      case 'signal':
        return this.#fleet.signal(effect.worker, effect.signal);
      case 'tell':
        return this.#tell(effect.told);
      case 'finished':
        return this.#finish(effect.outcome);
    }
  }

  #tell(told: Told): void {
    announce(told, { log: this.#log, publish: (event) => this.#control?.publish(event) });
    this.#waiters.told(told);
    if (told.event === 'all_ready') this.#notifier.ready();
    if (told.event === 'stopping') {
      this.#notifier.stopping();
      // The workers close theirs, too: who comes now shall hear it at once, not after the drain.
      this.#listeners.close();
    }
  }

  #healed(worker: WorkerId, pid: number, tookMs: number): void {
    const memoryBytes = readWorkerMemory(pid)?.anonBytes;
    if (memoryBytes === undefined) return;
    this.#loop.enqueue({ type: 'healed', worker, memoryBytes, tookMs });
  }

  #request(request: Request): void {
    switch (request.type) {
      case 'stop':
        return this.#loop.enqueue({ type: 'stop', mode: 'graceful' });
      case 'interrupt':
        this.#interrupts += 1;
        return this.#loop.enqueue({
          type: 'stop',
          mode: this.#interrupts === 1 ? 'graceful' : 'now',
        });
      case 'reload':
        // The log has told why; a signal has nobody else to answer to.
        this.#reload().catch(() => {});
        return;
      case 'recycle_all':
        return this.#loop.enqueue({ type: 'recycle', slot: null, reason: 'manual' });
      case 'scale_by':
        return this.#loop.enqueue({
          type: 'scale',
          slots: this.#loop.state().size + request.slots,
        });
      case 'reopen_logs':
        return this.#log.write('info', 'usr1', {
          detail: 'logs go to stderr, there is nothing to reopen',
        });
    }
  }

  /** Effects come in the order of their epochs: older launches are not asked for any more. */
  #launchOf(epoch: number): Launch {
    for (const older of this.#launches.keys()) if (older < epoch) this.#launches.delete(older);
    return this.#launches.get(epoch) ?? launchOf(this.#config, this.#budget.bytes);
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
      this.#loop.enqueue({ type: 'reload', policy: policyWithin(config.settings, budget.bytes) });
      this.#log.write('info', 'reloading', { file: config.file });
      if (restart.length > 0) {
        this.#log.write('warn', 'restart_needed', {
          settings: restart.join(', '),
          detail: 'changed, but only a restart applies them',
        });
      }
      return restart;
    } catch (error) {
      const { code, message, hint } = error as CofferdamError;
      this.#log.write('error', 'reload_failed', {
        code,
        detail: message,
        hint,
        running: 'the previous configuration',
      });
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
      pool: this.#loop.state(),
    });
  }

  #logStart(): void {
    const { settings } = this.#config;
    this.#log.write('info', 'starting', {
      version: this.#options.version,
      pid: process.pid,
      app: settings.app,
      workers: policyOf(settings).workers,
      budgetBytes: this.#budget.bytes,
      budgetFrom: this.#budget.origin,
      name: settings.name,
      v8Flags: v8FlagsOf(settings, this.#budget.bytes).join(' '),
    });
    for (const detail of adviseOn(settings)) this.#log.write('warn', 'advice', { detail });
  }

  #exitCodeOf(outcome: Outcome): number {
    if (outcome.type === 'never_booted') {
      const { app } = this.#config.settings;
      throw explainNoBoot(app ?? '', outcome.detail, this.#listenFailure);
    }
    if (outcome.type === 'stopped_late') {
      const { cutRequests, cutLongLived, killed } = outcome;
      this.#log.write('error', 'stopped_late', { cutRequests, cutLongLived, killed });
      return EXIT.stopRanOutOfTime;
    }
    return this.#interrupts > 1 ? EXIT_INTERRUPTED : EXIT.ok;
  }

  #close(): void {
    this.#loop.stop();
    this.#sampler.stop();
    this.#pressure.stop();
    this.#waiters.abandon();
    this.#fleet.relay.close();
    this.#listeners.close();
    this.#control?.close();
    this.#guard.dismiss();
  }
}
