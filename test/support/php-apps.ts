/** Real PHP applications out of Debian's packages, each set up in a folder of the running test. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunningCofferdam } from './cofferdam.ts';
import { scratchFolder } from './scratch.ts';
import { serve } from './serve.ts';
import { waitForPhp } from './php.ts';

export const PASSWORD = 'cofferdam-secret';

/** `config`: keys and tables of cofferdam.toml. Two workers, all ready; ends with the test. */
export async function serveSite(config: string): Promise<RunningCofferdam> {
  const file = join(scratchFolder(), 'cofferdam.toml');
  writeFileSync(file, `workers = 2\nkind = "php"\n${config}`);
  const pool = await serve(['--config', file]);
  await waitForPhp(pool);
  return pool;
}

export const DOKUWIKI = '/usr/share/dokuwiki';

/** Copies it with a configuration and an administrator of its own; returns its root. */
export function makeDokuWiki(): string {
  const folder = scratchFolder();
  const [root, conf, data] = ['site', 'conf', 'data'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  // `cpSync` takes five times as long.
  execFileSync('cp', ['-rL', DOKUWIKI, root]);
  mkdirSync(conf);
  for (const name of readdirSync(DOKUWIKI_CONF).filter((name) => CONF_FILE.test(name))) {
    cpSync(join(DOKUWIKI_CONF, name), join(conf, name));
  }
  for (const name of DOKUWIKI_DATA) mkdirSync(join(data, name), { recursive: true });
  writeFileSync(join(root, 'inc/preload.php'), `<?php define('DOKU_CONF', '${conf}/');`);
  const settings = { savedir: data, useacl: 1, superuser: '@admin', authtype: 'authplain' };
  const lines = Object.entries(settings).map(([name, value]) => `$conf['${name}'] = '${value}';`);
  writeFileSync(join(conf, 'local.php'), `<?php\n${lines.join('\n')}\n`);
  writeFileSync(join(conf, 'acl.auth.php'), '*  @ALL  8\n');
  const hash = execFileSync('php', ['-r', `echo password_hash('${PASSWORD}', PASSWORD_BCRYPT);`]);
  writeFileSync(
    join(conf, 'users.auth.php'),
    `admin:${hash.toString()}:Admin:a@example.org:admin,user\n`,
  );
  return root;
}

/** What a browser does beyond requests: it keeps cookies. */
export function openBrowser(url: string): Browser {
  const cookies = new Map<string, string>();
  return {
    async ask(path, { method = 'GET', form, headers = {} } = {}) {
      const cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
      const answer = await fetch(new URL(path, url), {
        method,
        headers: { cookie, ...headers },
        redirect: 'manual',
        ...(form !== undefined && { body: form }),
      });
      for (const line of answer.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
        cookies.set(name, value);
      }
      return { status: answer.status, headers: answer.headers, text: await answer.text() };
    },
  };
}

export interface Browser {
  ask(path: string, options?: AskPage): Promise<Page>;
}

export interface AskPage {
  readonly method?: 'GET' | 'POST';
  readonly form?: FormData;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Page {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** A form as browsers send it when there is a file in it. */
export function formOf(fields: Readonly<Record<string, string | Blob>>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') form.append(name, value);
    else form.append(name, value, value instanceof File ? value.name : `${name}.txt`);
  }
  return form;
}

// --- internal ---

const DOKUWIKI_CONF = '/etc/dokuwiki';
/** The user's own settings and passwords stay where they are. */
const CONF_FILE = /^(?!local\.|users\.|acl\.).*\.(php|conf)$/;
const DOKUWIKI_DATA =
  'attic cache index locks log media media_attic media_meta meta pages tmp'.split(' ');
