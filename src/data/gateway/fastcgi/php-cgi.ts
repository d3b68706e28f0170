/**
 * How a php-cgi is started: command line, environment and socket, for the two layouts. Pure.
 *
 * `isolated`: one php-cgi for each worker, on a socket of its own. `zygote`: one php-cgi parent
 * whose forked children share its socket and its opcache; each child holds one connection of ours,
 * so a connection is a worker (zygote.ts).
 */
import { join } from 'node:path';

export type PhpLayout =
  | { readonly type: 'isolated' }
  | { readonly type: 'zygote'; readonly children: number };

export interface PhpCgiOptions {
  /** `php-cgi`, or its path. */
  readonly binary: string;
  readonly layout: PhpLayout;
  /** From {@link phpSocketPath}. */
  readonly socketPath: string;
  /** `name=value`, as in php.ini; wins over the files. */
  readonly ini: Readonly<Record<string, string>>;
  /** Our own environment, of which only what PHP itself needs is passed on. */
  readonly parentEnv: Readonly<Record<string, string | undefined>>;
  /** `[env]` of the configuration: what the user wants the scripts to see. */
  readonly extraEnv: Readonly<Record<string, string>>;
}

export interface PhpCgiCommand {
  readonly file: string;
  readonly args: readonly string[];
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** Bound in `sun_path`: 108 bytes, the last of which is a zero. */
const SOCKET_PATH_MAX_BYTES = 107;

export function phpCgiCommand(options: PhpCgiOptions): PhpCgiCommand {
  const { binary, layout, socketPath, ini, parentEnv, extraEnv } = options;
  const settings = Object.entries(ini).flatMap(([name, value]) => ['-d', `${name}=${value}`]);
  return {
    file: binary,
    // A port would be open to all interfaces, and loses the end of an answer when php exits.
    args: ['-b', socketPath, ...settings],
    env: {
      ...passedEnv(parentEnv),
      ...extraEnv,
      // By default it exits after 500 requests, in the middle of whatever comes next.
      PHP_FCGI_MAX_REQUESTS: '0',
      PHP_FCGI_CHILDREN: layout.type === 'zygote' ? String(layout.children) : '0',
    },
  };
}

/**
 * A socket's path inside `folder`, which must have mode 0700: php-cgi makes the socket itself
 * writable for everybody, and whoever reaches it runs what they like. Null when the path is too
 * long for the kernel.
 */
export function phpSocketPath(folder: string, name: string): string | null {
  const path = join(folder, `${name}.sock`);
  return Buffer.byteLength(path) <= SOCKET_PATH_MAX_BYTES ? path : null;
}

/**
 * Tells the process id of a zygote's child; to be written beside the socket. SO_PEERCRED cannot: it
 * names the parent, which called listen(). On a line of its own: `auto_prepend_file` may talk, too.
 */
export const PID_SCRIPT = '<?php echo "\\ncofferdam-pid=", getmypid(), "\\n";\n';

// --- internal ---

/**
 * The whole environment of php-cgi appears in `$_SERVER` and in phpinfo(): only what PHP and the
 * programs it starts need to work. Everything else is named by the user.
 */
const PASSED = ['PATH', 'HOME', 'USER', 'LANG', 'LANGUAGE', 'TZ', 'TMPDIR', 'PHPRC'];
const PASSED_PREFIXES = ['LC_', 'PHP_INI_'];

function passedEnv(env: PhpCgiOptions['parentEnv']): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    const isPassed = PASSED.includes(name) || PASSED_PREFIXES.some((each) => name.startsWith(each));
    if (value !== undefined && isPassed) passed[name] = value;
  }
  return passed;
}
