/** php-fpm as a contender for probes: where "a worker blocks" and "a request is slow" are the same. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** Debian's name for it (package php8.2-fpm). */
const BINARY = 'php-fpm8.2';

/** What the bench's Node app does, as far as it can be done there: `exit` ends no child. */
const APP = `<?php
$path = $_SERVER['REQUEST_URI'];
if ($path === '/block' || $path === '/slow') sleep(90);
if ($path === '/crash') posix_kill(getmypid(), 9);
echo 'ok';
`;

/** `8.2.35`; null where it is not installed. */
export function phpFpmVersion() {
  const { stdout } = spawnSync(BINARY, ['-v'], { encoding: 'utf8' });
  return /^PHP ([\d.]+)/.exec(stdout ?? '')?.[1] ?? null;
}

/** Two children, everything else as php-fpm has it by default. */
export function phpFpmPlan({ folder, port, opsPort, home }) {
  const [user, group] = [process.getuid(), process.getgid()];
  const configFile = join(folder, 'php-fpm.conf');
  const config = [
    '[global]',
    `error_log = ${join(home, 'php-fpm.log')}`,
    '[www]',
    `user = ${user}`,
    `group = ${group}`,
    `listen = 127.0.0.1:${port}`,
    'pm = static',
    'pm.max_children = 2',
    'ping.path = /ping',
    'pm.status_path = /status',
    `pm.status_listen = 127.0.0.1:${opsPort}`,
  ];
  return {
    command: BINARY,
    args: ['--nodaemonize', '--allow-to-run-as-root', '--fpm-config', configFile],
    files: { 'php-fpm.conf': `${config.join('\n')}\n`, 'server.php': APP },
    url: `fcgi://127.0.0.1:${port}${join(folder, 'server.php')}`,
    ops: `fcgi://127.0.0.1:${opsPort}`,
  };
}

/** As many children as there are requests; else what php-fpm's own example configuration says. */
export function phpFpmBurstPlan({ folder, starts, port }, manager, most) {
  const [user, group] = [process.getuid(), process.getgid()];
  const config = [
    '[global]',
    `error_log = ${join(folder, 'php-fpm.log')}`,
    '[www]',
    `user = ${user}`,
    `group = ${group}`,
    `listen = 127.0.0.1:${port}`,
    `pm = ${manager}`,
    `pm.max_children = ${most}`,
    ...(manager === 'dynamic'
      ? ['pm.start_servers = 2', 'pm.min_spare_servers = 1', 'pm.max_spare_servers = 3']
      : ['pm.process_idle_timeout = 2s']),
  ];
  const script = `<?php
file_put_contents('${starts}', floor(microtime(true) * 1000) . "\n", FILE_APPEND | LOCK_EX);
sleep(1);
echo 'ok';
`;
  return {
    command: BINARY,
    args: ['--nodaemonize', '--allow-to-run-as-root', '--fpm-config', join(folder, 'php-fpm.conf')],
    url: `fcgi://127.0.0.1:${port}${join(folder, 'slow.php')}`,
    files: { 'php-fpm.conf': `${config.join('\n')}\n`, 'slow.php': script },
  };
}

/** With the default `process_control_timeout` of 0 nothing is waited for. */
export function phpFpmReload({ pid }) {
  process.kill(pid, 'SIGUSR2');
}
