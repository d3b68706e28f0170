/** Unmodified PHP applications: pages, logins, uploads, redirects; nginx and lighttpd in front. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { request } from 'undici';
import { expect, onTestFinished, test, vi } from 'vitest';
import { ADMIN, installMediaWiki, MEDIAWIKI } from '../../scripts/mediawiki.mjs';
import { needPhp } from '../gateway/php.ts';
import { startLighttpd } from '../support/lighttpd.ts';
import { startNginx } from '../support/nginx.ts';
import { PHP_LAYOUTS } from '../support/php.ts';
import { workerEvents } from '../support/serve.ts';
import {
  DOKUWIKI,
  formOf,
  makeDokuWiki,
  openBrowser,
  PASSWORD,
  serveSite,
  type Browser,
} from '../support/php-apps.ts';
import { APPS_FOLDER } from '../support/processes.ts';
import { scratchFolder } from '../support/scratch.ts';
import { lacks, lacksFile } from '../support/tools.ts';

const SYMFONY = '/usr/share/php/Symfony/Bundle/FrameworkBundle/FrameworkBundle.php';

const MEDIAWIKI_SETTINGS = `
$wgEnableUploads = true;
$wgFileExtensions[] = 'txt';
`;

/** What is cached has to be known to every worker, or an edit is seen by one of them only. */
const CACHES = {
  isolated: '$wgMainCacheType = CACHE_DB;\n',
  // APCu, if it is there: they have it in common, and the login is in it.
  zygote:
    '$wgMainCacheType = $wgSessionCacheType = function_exists("apcu_fetch") ? CACHE_ACCEL : CACHE_DB;\n',
};

/** Applications compile hundreds of files, which two busy cores take their time for. */
vi.setConfig({ testTimeout: 60_000 });

needPhp();

const lacksMediaWiki = lacksFile(MEDIAWIKI, 'mediawiki') || lacks('nginx');
const mediaWiki = test.skipIf(lacksMediaWiki).each(PHP_LAYOUTS);
mediaWiki('MediaWiki, %s, behind nginx: login, edit, upload, redirect', async (layout) => {
  const folder = join(scratchFolder(), 'wiki');
  mkdirSync(folder);
  const env = await installMediaWiki(folder, MEDIAWIKI_SETTINGS + CACHES[layout]);
  const pool = await serveSite(
    `root = "${MEDIAWIKI}"\nphp-layout = "${layout}"\n` +
      `[env]\nMW_CONFIG_FILE = "${env.MW_CONFIG_FILE}"\n`,
  );
  const nginx = await startNginx(pool.port);
  onTestFinished(() => nginx.stop());
  const browser = openBrowser(nginx.url);

  const start = await browser.ask('/');
  expect([301, 302]).toContain(start.status);
  expect(start.headers.get('location')).toContain('/index.php?title=Main_Page');
  const main = await browser.ask('/index.php?title=Main_Page');
  expect([main.status, main.text.includes('MediaWiki has been installed')]).toEqual([200, true]);
  expect((await browser.ask('/index.php?title=Nothing')).status).toBe(404);

  const login = { lgname: ADMIN.name, lgpassword: ADMIN.password };
  const lgtoken = await tokenFor(browser, 'login');
  const loggedIn = await api(browser, { action: 'login', lgtoken, ...login });
  expect(loggedIn).toMatchObject({ login: { result: 'Success' } });
  const token = await tokenFor(browser, 'csrf');
  const edit = await api(browser, { action: 'edit', title: 'Dam', text: 'keeps water', token });
  expect(edit).toMatchObject({ edit: { result: 'Success' } });
  expect((await browser.ask('/index.php?title=Dam')).text).toContain('keeps water');

  // Above 1 MiB it is spooled.
  const bytes = Buffer.from(randomBytes(1_000_000).toString('hex'));
  const file = new Blob([bytes], { type: 'text/plain' });
  const upload = { action: 'upload', filename: 'Dam.txt', ignorewarnings: '1', token, file };
  expect(await api(browser, upload)).toMatchObject({
    upload: {
      result: 'Success',
      imageinfo: { sha1: createHash('sha1').update(bytes).digest('hex') },
    },
  });

  // Not with fetch, which says no-cache beside the condition.
  const image = `${nginx.url}/resources/assets/poweredby_mediawiki_88x31.png`;
  const first = await request(image);
  await first.body.dump();
  const headers = { 'if-none-match': String(first.headers['etag']) };
  expect((await request(image, { headers })).statusCode).toBe(304);
  expect((await browser.ask('/LocalSettings.php')).status).toBe(404);
  expect(workerEvents(pool, 'worker_crashed')).toEqual([]);
});

const lacksDokuWiki = lacksFile(DOKUWIKI, 'dokuwiki') || lacks('lighttpd');
test.skipIf(lacksDokuWiki)('DokuWiki behind lighttpd: login, edit, upload, redirect', async () => {
  const pool = await serveSite(`root = "${makeDokuWiki()}"\nindex = "doku.php"\n`);
  const browser = openBrowser(await startLighttpd(pool.port));
  expect((await browser.ask('/')).text).toContain('DokuWiki');
  const wrong = { u: 'admin', p: 'wrong', do: 'login', id: 'start' };
  expect((await browser.ask('/doku.php', { method: 'POST', form: formOf(wrong) })).status).toBe(
    403,
  );
  const right = { ...wrong, p: PASSWORD };
  const loggedIn = await browser.ask('/doku.php', { method: 'POST', form: formOf(right) });
  expect([loggedIn.status, loggedIn.headers.get('location')]).toEqual([
    302,
    expect.stringMatching(/\/doku\.php\?id=start$/),
  ]);
  const form = (await browser.ask('/doku.php?id=dam&do=edit')).text;
  const sectok = /name="sectok" value="(\w+)"/.exec(form)?.[1] ?? '';
  const date = /name="date" value="(\d*)"/.exec(form)?.[1] ?? '';
  const page = { id: 'dam', sectok, date, rev: '0', prefix: '', suffix: '', target: 'section' };
  const saved = await browser.ask('/doku.php?id=dam', {
    method: 'POST',
    form: formOf({ ...page, wikitext: '====== Dam ======\nkeeps water', 'do[save]': '1' }),
  });
  expect(saved.status).toBe(302);
  expect((await browser.ask('/doku.php?id=dam')).text).toContain('keeps water');
  // It takes pictures only.
  const picture = Buffer.from('R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs=', 'base64');
  const qqfile = new File([picture], 'lake.gif', { type: 'image/gif' });
  const upload = { call: 'mediaupload', ns: '', mediaid: 'lake.gif', sectok, qqfile };
  const uploaded = await browser.ask('/lib/exe/ajax.php', { method: 'POST', form: formOf(upload) });
  expect(JSON.parse(uploaded.text)).toMatchObject({ success: true });
  const shown = await browser.ask('/lib/exe/fetch.php?media=lake.gif');
  expect(shown.text).toBe(picture.toString('utf8'));
  expect((await browser.ask('/lib/exe/css.php?t=dokuwiki')).headers.get('content-type')).toMatch(
    'css',
  );
  expect((await browser.ask('/lib/images/throbber.gif')).status).toBe(200);
});

test.skipIf(lacksFile(SYMFONY, 'php-symfony-framework-bundle'))(
  'Symfony by its front controller: a route, a session, a 404 of its own',
  async () => {
    const env = `[env]\nAPP_FOLDER = "${scratchFolder()}"\n`;
    const pool = await serveSite(`app = "${APPS_FOLDER}php-symfony/index.php"\n${env}`);
    const browser = openBrowser(pool.url);
    expect((await browser.ask('/hello/joe')).text).toBe('Hello joe, visit 1\n');
    expect((await browser.ask('/hello/joe')).text).toBe('Hello joe, visit 2\n');
    expect((await browser.ask('/nothing')).status).toBe(404);
    await pool.waitFor(/"event":"php_stderr".*No route found/);
  },
);

test('the example: a page is written, read and linked', async () => {
  const pages = scratchFolder();
  const env = `[env]\nWIKI_PAGES = "${pages}"\n`;
  const pool = await serveSite(`app = "${resolve('examples/php-wiki/public/index.php')}"\n${env}`);
  const browser = openBrowser(pool.url);
  const empty = await browser.ask('/Dam');
  const token = /name="token" value="(\w+)"/.exec(empty.text)?.[1] ?? '';
  expect([empty.status, token.length]).toEqual([404, 32]);
  const form = formOf({ token, text: '<b> [[Start]]' });
  const saved = await browser.ask('/Dam', { method: 'POST', form });
  expect([saved.status, saved.headers.get('location')]).toEqual([303, '/Dam']);
  const page = await browser.ask('/Dam');
  expect([page.status, page.text]).toEqual([
    200,
    expect.stringContaining('&lt;b&gt; <a href="/Start">Start</a>'),
  ]);
  expect((await browser.ask('/style.css')).headers.get('content-type')).toContain('text/css');
  const stranger = openBrowser(pool.url);
  expect((await stranger.ask('/Dam', { method: 'POST', form: formOf({ token }) })).status).toBe(
    403,
  );
});

async function api(browser: Browser, fields: Record<string, string | Blob>): Promise<unknown> {
  const form = formOf({ ...fields, format: 'json' });
  const { status, text } = await browser.ask('/api.php', { method: 'POST', form });
  expect(status, text).toBe(200);
  return JSON.parse(text);
}

async function tokenFor(browser: Browser, type: 'login' | 'csrf'): Promise<string> {
  const { text } = await browser.ask(`/api.php?action=query&meta=tokens&type=${type}&format=json`);
  const { query } = JSON.parse(text) as { query: { tokens: Record<string, string> } };
  return query.tokens[`${type}token`] ?? '';
}
