/**
 * The guard: a shell that outlives us for a moment. Nobody can act on a SIGKILL of their own, and a
 * worker whose event loop is blocked never notices that its supervisor is gone. The guard notices
 * (its standard input ends), waits for the healthy ones to leave, and kills the process groups of
 * the rest. A shell, because it costs 0.1 MB where a second Node would cost 10.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import { startTimeOf, type Root } from '../metrics/process-memory.ts';

export interface Guard {
  /**
   * A worker, leader of its own process group, that must not outlive us. One that knows nothing
   * of us, and gets its requests from a gateway that does, is `blind`: told to leave when only
   * such are left.
   */
  watch(pid: number, options?: { readonly blind: boolean }): void;
  unwatch(pid: number): void;
  /** We leave in good order: the guard goes at once and kills nobody. */
  dismiss(): void;
}

export interface GuardOptions extends Root {
  /** How long workers may go on by themselves after our death, milliseconds. */
  readonly graceMs: number;
  /** Called once, with a sentence, when there is no guard and there will be none. */
  readonly onExit?: (detail: string) => void;
  readonly shell?: string;
}

export function startGuard({
  graceMs,
  onExit,
  shell = '/bin/sh',
  root = '/',
}: GuardOptions): Guard {
  /** By pid: start time ('' where the system does not tell), and `b` behind it if it is blind. */
  const watched = new Map<number, string>();
  let child: ChildProcess | null = null;
  let starts = 0;
  let over = false;

  function start(): void {
    if (over) return;
    starts += 1;
    const steps = Math.ceil(graceMs / STEP_MS);
    child = spawn(shell, ['-c', 'eval "$SCRIPT"', 'cofferdam-guard', String(steps)], {
      // Its own session: neither Ctrl-C nor a signal to our process group may reach it.
      detached: true,
      cwd: '/',
      // In the environment, so that `ps` shows one readable line, and so that there is no moment in
      // which a guard runs that has not heard of the workers.
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', SCRIPT, WORKERS: line() },
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    child.unref();
    child.stdin?.on('error', ignore);
    if (child.stdin instanceof Socket) child.stdin.unref();
    child.once('error', (error) => lose(error.message));
    child.once('exit', (code, signal) => revive(signal ?? `code ${code}`));
  }

  function revive(why: string): void {
    child = null;
    if (over) return;
    if (starts >= STARTS_MAX) return lose(`it ended ${starts} times, last by ${why}`);
    setTimeout(start, RESTART_DELAY_MS).unref();
  }

  function lose(why: string): void {
    if (over) return;
    over = true;
    child = null;
    onExit?.(
      `No guard process (${shell}: ${why}): if Cofferdam is killed with -9, ` +
        'workers whose event loop is blocked stay behind.',
    );
  }

  /** Always the whole list: the last complete line counts. */
  function line(): string {
    return [...watched].map(([pid, facts]) => `${pid}:${facts}`).join(' ');
  }

  function send(): void {
    if (child?.stdin?.writable) child.stdin.write(`${line()}\n`);
  }

  start();
  return {
    watch(pid, { blind } = { blind: false }) {
      watched.set(pid, `${startTimeOf(pid, { root }) ?? ''}:${blind ? 'b' : ''}`);
      send();
    },
    unwatch(pid) {
      if (watched.delete(pid)) send();
    },
    dismiss() {
      if (over) return;
      over = true;
      if (child?.stdin?.writable) child.stdin.end('bye\n');
    },
  };
}

// --- internal ---

/** How often the guard looks whether anybody is left; it leaves as soon as nobody is. */
const STEP_MS = 200;

/** A guard that keeps dying is being killed by somebody: five tries, then say so and stop. */
const STARTS_MAX = 5;

const RESTART_DELAY_MS = 1_000;

/**
 * A pid is reused only once its process group is empty, so a live group is ours unless its leader
 * began at another time than the one we were told.
 */
const SCRIPT = `
trap '' HUP INT QUIT TERM
workers=$WORKERS
while read -r line; do
  [ "$line" = bye ] && exit 0
  workers=$line
done
is_left() {
  pid=\${1%%:*} start=\${1#*:} start=\${start%:*}
  kill -s 0 -- "-$pid" 2>/dev/null || return 1
  [ -n "$start" ] && read -r stat <"/proc/$pid/stat" || return 0
  set -- \${stat##*) }
  [ "\${20}" = "$start" ]
}
steps=$1
while [ "$steps" -gt 0 ]; do
  steps=$((steps - 1))
  left= seeing=
  for worker in $workers; do
    is_left "$worker" || continue
    left="$left $worker"
    case $worker in *:b) ;; *) seeing=yes ;; esac
  done
  workers=$left
  [ -n "$workers" ] || exit 0
  [ -n "$seeing" ] || for worker in $workers; do kill -s TERM -- "-\${worker%%:*}"; done
  sleep ${STEP_MS / 1000} || sleep 1
done
for worker in $workers; do
  is_left "$worker" && kill -s KILL -- "-\${worker%%:*}"
done
`;

function ignore(): void {
  // The exit that follows is what counts.
}
