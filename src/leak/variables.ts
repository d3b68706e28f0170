/**
 * The variables of our environment that the app's own files name: without them a report is of no
 * use to repeat the run. Values that look like secrets are left out, for reports are passed on.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** `LEAK=1`, `API_TOKEN=…`, in the order of their names. */
export async function readVariables(
  app: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<[name: string, value: string][]> {
  const names = new Set(ALWAYS);
  const files = new Set([app]);
  for (const file of files) {
    const text = await readOwn(file);
    for (const name of namesIn(text)) names.add(name);
    for (const path of importsIn(text)) {
      if (files.size < FILES_MAX) files.add(resolve(dirname(file), path));
    }
  }
  return [...names].sort().flatMap((name): [string, string][] => {
    const value = env[name];
    if (value === undefined || NEVER.has(name)) return [];
    return [[name, isSecret(name, value) ? '…' : value]];
  });
}

// --- internal ---

/** Node itself and most frameworks read them. */
const ALWAYS = ['NODE_ENV', 'NODE_OPTIONS'];

/** The load chooses the port; the others are those of any shell. */
const NEVER = new Set(['PORT', 'HOME', 'LANG', 'PATH', 'PWD', 'SHELL', 'TERM', 'TMPDIR', 'USER']);

/** Of an app that is larger the first files name what matters. */
const FILES_MAX = 300;

const EXTENSIONS = ['', '.js', '.cjs', '.mjs', '.ts', '.cts', '.mts', '/index.js', '/index.ts'];

async function readOwn(path: string): Promise<string> {
  for (const extension of EXTENSIONS) {
    const text = await readFile(path + extension, 'utf8').catch(() => null);
    if (text !== null) return text;
  }
  return '';
}

/** `process.env.NAME`, `env['NAME']`, and `{ NAME, OTHER: name = '1' } = process.env`. */
function namesIn(text: string): string[] {
  const named = text.matchAll(/\benv(?:\.|\[\s*['"`])([A-Za-z_]\w*)/g);
  const taken = text.matchAll(/\{([^{}]*)\}\s*=\s*(?:process\.)?env\b/g);
  return [
    ...[...named].map(([, name = '']) => name),
    ...[...taken].flatMap(([, list = '']) =>
      list.split(',').map((part) => part.split(/[:=]/)[0] ?? ''),
    ),
  ].map((name) => name.trim());
}

/** Relative ones only: packages are not the app's own. */
function importsIn(text: string): string[] {
  const found = text.matchAll(
    /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)['"](\.[^'"]*)['"]/g,
  );
  return [...found].map(([, path = '']) => path);
}

function isSecret(name: string, value: string): boolean {
  return (
    /secret|token|passw|pass$|key|auth|credential|dsn/i.test(name) || /:\/\/[^/]*@/.test(value)
  );
}
