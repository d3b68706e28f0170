/** A MediaWiki out of Debian's package: a folder with a SQLite database and settings. */
import { appendFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './setup.mjs';

/** Where Debian has it; also the folder that is served. */
export const MEDIAWIKI = '/usr/share/mediawiki';
export const ADMIN = { name: 'Admin', password: 'cofferdam-secret' };

export function hasMediaWiki() {
  return existsSync(join(MEDIAWIKI, 'maintenance/install.php'));
}

/**
 * Installs a wiki into an empty folder, in about two seconds; returns the environment by which PHP
 * finds its settings. It takes the host's name from each request.
 */
export async function installMediaWiki(folder, settings = '') {
  for (const each of ['db', 'cache', 'images']) mkdirSync(join(folder, each), { recursive: true });
  const names = { dbtype: 'sqlite', dbpath: join(folder, 'db'), dbname: 'wiki', scriptpath: '' };
  const options = { ...names, server: 'http://127.0.0.1', confpath: folder, pass: ADMIN.password };
  const flags = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  const script = join(MEDIAWIKI, 'maintenance/install.php');
  await run('php', [script, ...flags, 'Wiki', ADMIN.name]);
  const file = join(folder, 'LocalSettings.php');
  appendFileSync(file, settingsIn(folder) + settings);
  const env = { MW_CONFIG_FILE: file };
  // Else the first requests do it, all of them at once.
  const texts = join(MEDIAWIKI, 'maintenance/rebuildLocalisationCache.php');
  await run('php', [texts, '--lang=en'], folder, { ...process.env, ...env });
  return env;
}

// --- internal ---

/**
 * Without jobs at the end of requests, which would make some of them slow. Sessions in the
 * database: APCu, which the installer chooses, belongs to one php-cgi alone where they are isolated.
 */
function settingsIn(folder) {
  return `
if (isset($_SERVER['HTTP_HOST'])) {
    $https = ($_SERVER['HTTPS'] ?? '') === 'on' ? 's' : '';
    $wgServer = "http$https://{$_SERVER['HTTP_HOST']}";
}
$wgUsePathInfo = false;
$wgCacheDirectory = '${join(folder, 'cache')}';
$wgUploadDirectory = '${join(folder, 'images')}';
$wgJobRunRate = 0;
$wgSessionCacheType = CACHE_DB;
`;
}
