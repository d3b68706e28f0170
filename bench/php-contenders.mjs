/** Who is compared in serving PHP: each with four workers, and with what its manual advises. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../scripts/setup.mjs';

export const WORKERS = 4;
/** Debian's name for it (package php8.2-fpm). */
const FPM = 'php-fpm8.2';

/**
 * `plan({root, env, maxRequests, queue})` returns the plan of a contender that serves the scripts
 * below a root, where `env` is for these and workers are replaced after so many requests (0 =
 * never); `queue` (null: its own default) bounds who waits, where it can be told.
 */
export const PHP_CONTENDERS = {
  'nginx + php-fpm': { plan: fpmPlan, programs: ['nginx', FPM] },
  'lighttpd + php-cgi': { plan: lighttpdPlan, programs: ['lighttpd'] },
  Cofferdam: { plan: cofferdamPlan, programs: [] },
};

/** Debian packages that are missing for these contenders; a whole run is too long for a surprise. */
export function missingPackages(names) {
  const isThere = (program) => spawnSync(program, ['-v'], { stdio: 'ignore' }).error === undefined;
  const needed = ['wrk', 'php-cgi', ...names.flatMap((name) => PHP_CONTENDERS[name].programs)];
  return needed.filter((program) => !isThere(program)).map((name) => PACKAGES[name] ?? name);
}

export function phpVersions() {
  const find = (file, args, pattern) => {
    const { stdout, stderr } = spawnSync(file, args, { encoding: 'utf8' });
    return pattern.exec(`${stdout}${stderr}`)?.[0] ?? `${file} is missing`;
  };
  return [
    find('php-cgi', ['-v'], /PHP [\d.]+/),
    find('nginx', ['-v'], /nginx\/[\d.]+/),
    find('lighttpd', ['-v'], /lighttpd\/[\d.]+/),
  ].join(', ');
}

// --- internal ---

const PACKAGES = { [FPM]: 'php8.2-fpm' };

/** One tree: the shell becomes nginx, and php-fpm is its child. */
function fpmPlan({ root, env, maxRequests, queue }) {
  return ({ folder, port, home }) => {
    const socket = join(home, 'fpm.sock');
    const fpm = [
      '[global]',
      `error_log = ${join(home, 'fpm.log')}`,
      '[www]',
      `user = ${process.getuid()}`,
      `group = ${process.getgid()}`,
      `listen = ${socket}`,
      ...(queue === null ? [] : [`listen.backlog = ${queue.length}`]),
      'pm = static',
      `pm.max_children = ${WORKERS}`,
      `pm.max_requests = ${maxRequests}`,
      ...Object.entries(env).map(([name, value]) => `env[${name}] = ${value}`),
    ];
    const nginx = nginxConf({ root, port, home, socket });
    const files = { 'fpm.conf': `${fpm.join('\n')}\n`, 'nginx.conf': nginx };
    const start = `${FPM} -F -R -y ${folder}/fpm.conf & exec nginx -p ${home} -c ${folder}/nginx.conf`;
    return { command: 'sh', args: ['-c', start], files };
  };
}

/** Debian's own settings, fastcgi_params included, but with more connections than 768. */
function nginxConf({ root, port, home, socket }) {
  return `
daemon off;
${process.getuid() === 0 ? 'user root;' : ''}
worker_processes auto;
pid ${home}/nginx.pid;
error_log ${home}/error.log warn;
events { worker_connections 2048; }
http {
  sendfile on;
  tcp_nopush on;
  access_log off;
  client_max_body_size 16m;
  include /etc/nginx/mime.types;
  server {
    listen 127.0.0.1:${port};
    root ${root};
    location ~ \\.php$ {
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
      fastcgi_pass unix:${socket};
    }
  }
}
`;
}

function lighttpdPlan({ root, env, maxRequests }) {
  return ({ folder, port, home }) => {
    // It would end by itself after 500 requests.
    const own = { ...env, PHP_FCGI_CHILDREN: '0', PHP_FCGI_MAX_REQUESTS: String(maxRequests) };
    const pairs = Object.entries(own).map(([name, value]) => `"${name}" => "${value}"`);
    mkdirSync(join(home, 'uploads'), { recursive: true });
    const config = `
server.modules = ( "mod_fastcgi" )
server.document-root = "${root}"
server.bind = "127.0.0.1"
server.port = ${port}
server.errorlog = "${home}/error.log"
server.upload-dirs = ( "${home}/uploads" )
fastcgi.server = ( ".php" => ((
  "bin-path" => "/usr/bin/php-cgi",
  "socket" => "${home}/php.sock",
  "max-procs" => ${WORKERS},
  "bin-environment" => ( ${pairs.join(', ')} )
)) )
`;
    const args = ['-D', '-f', join(folder, 'lighttpd.conf')];
    return { command: 'lighttpd', args, files: { 'lighttpd.conf': config } };
  };
}

function cofferdamPlan({ root, env, maxRequests, queue }) {
  return ({ folder, port, opsPort }) => {
    const file = join(folder, 'cofferdam.toml');
    const config = [
      'kind = "php"',
      `root = "${root}"`,
      `max-requests = ${maxRequests}`,
      ...(queue === null ? [] : [`queue-timeout = "${queue.timeout}"`]),
      '[env]',
      ...Object.entries(env).map(([name, value]) => `${name} = "${value}"`),
    ];
    const where = ['--port', port, '--host', '127.0.0.1', '--ops', `127.0.0.1:${opsPort}`];
    const flags = ['--workers', WORKERS, '--log', 'json', '--name', `bench-${process.pid}`];
    return {
      args: [join(ROOT, 'dist/cli/main.js'), 'serve', '-c', file, ...where, ...flags].map(String),
      files: { 'cofferdam.toml': `${config.join('\n')}\n` },
      restarts: (log) => log.split('"event":"recycled"').length - 1,
    };
  };
}
