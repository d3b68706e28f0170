/** From the flags of `cofferdam leak` to what an experiment wants to know. */
import { mkdir, readFile } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { resolveApp } from '../config/app.ts';
import { parseFlags } from '../config/flags.ts';
import { readFlags } from '../config/load.ts';
import { LEAK_DURATION_MS, LEAK_SETTINGS, THOROUGH_DURATION_MS } from '../config/settings-leak.ts';
import type { LeakSettings } from '../config/settings-leak.ts';
import { CofferdamError } from '../errors.ts';
import { parseArm } from '../leak/arms.ts';
import type { Arm } from '../leak/arms.ts';
import type { ExperimentOptions } from '../leak/experiment.ts';
import { readRequests } from '../leak/requests.ts';
import type { TargetOptions } from '../leak/target.ts';
import type { CommandContext } from './command.ts';

/** What the command line says; `words` are the app, or snapshots with `--diff`. */
export interface LeakArguments {
  readonly settings: LeakSettings;
  readonly words: readonly string[];
}

/** The experiment without its app, and without those who watch it. */
export type LoadOptions = Omit<ExperimentOptions, 'target' | 'onProgress' | 'signal'>;

/** @throws CofferdamError COF_UNKNOWN_SETTING, COF_BAD_VALUE, COF_USAGE */
export function parseLeak(argv: readonly string[]): LeakArguments {
  const flags = parseFlags(argv, { table: LEAK_SETTINGS, wordsMax: SNAPSHOTS_MAX - 1 });
  const settings = readFlags(LEAK_SETTINGS, flags);
  const words = [...(settings.app === null ? [] : [settings.app]), ...flags.words];
  if (settings.diff && (words.length < 2 || words.length > SNAPSHOTS_MAX)) {
    throw new CofferdamError('COF_USAGE', '--diff takes two or three heap snapshots', {
      hint: 'cofferdam leak --diff one.heapsnapshot two.heapsnapshot [three.heapsnapshot]',
    });
  }
  const extra = settings.diff ? undefined : words[1];
  if (extra !== undefined) {
    throw new CofferdamError('COF_USAGE', `${JSON.stringify(extra)} is one app too many`, {
      hint: 'Arguments of the app come after `--`; compare apps with --baseline.',
    });
  }
  return { settings, words };
}

export async function loadOptionsOf(settings: LeakSettings, cwd: string): Promise<LoadOptions> {
  const { body, script, thorough, keepSnapshots } = settings;
  const templates = await readRequests({
    path: settings.path,
    method: (settings.method ?? (body === null ? 'GET' : 'POST')).toUpperCase(),
    body: body === null ? null : await readBody(resolve(cwd, body)),
    headers: headersOf(settings.header),
    script: script === null ? null : resolve(cwd, script),
  });
  // Arms take turns: each needs the time that it would have alone.
  const armCount = 1 + (settings.baseline === null ? 0 : 1) + settings.arm.length;
  const usualMs = thorough ? THOROUGH_DURATION_MS : LEAK_DURATION_MS;
  const durationMs = settings.durationMs ?? usualMs * armCount;
  const folder = keepSnapshots === null ? null : resolve(cwd, keepSnapshots);
  if (folder !== null) await mkdir(folder, { recursive: true });
  return {
    templates,
    ratePerSecond: settings.rate,
    connections: settings.connections,
    batch: settings.batch,
    ...(thorough ? { batchSeconds: thoroughSeconds(durationMs) } : {}),
    anyStatus: settings.anyStatus,
    http1: settings.http1,
    durationMs,
    maxRequests: settings.requests === 0 ? null : settings.requests,
    thorough,
    restMs: settings.restMs,
    slowMs: settings.slowMs,
    name: true,
    snapshotFolder: folder,
  };
}

/** @throws CofferdamError COF_APP_NOT_FOUND, COF_APP_UNSUPPORTED, COF_USAGE */
export function targetOf(settings: LeakSettings, context: CommandContext): TargetOptions {
  const { nodeArgs, bootTimeoutMs } = settings;
  if (OTHER_LANGUAGES.has(extname(settings.app ?? ''))) {
    const message = `${settings.app} is not for Node: \`cofferdam leak\` measures Node apps`;
    throw new CofferdamError('COF_APP_UNSUPPORTED', message, {
      hint: '`cofferdam serve` runs PHP and any other program, and bounds its memory.',
    });
  }
  return {
    app: resolveApp(settings.app, context.cwd, { nodeArgs, env: context.env }),
    args: settings.args,
    nodeArgs,
    node: process.execPath,
    env: context.env,
    cwd: context.cwd,
    bootTimeoutMs,
    output: settings.appOutput ? context.stderr : null,
  };
}

/** The app first; alone when there is nothing to compare it with. */
export function armsOf(settings: LeakSettings, target: TargetOptions): Arm[] {
  const arms: Arm[] = [{ name: 'app', target }];
  if (settings.baseline !== null) {
    const app = resolveApp(settings.baseline, target.cwd, { nodeArgs: target.nodeArgs });
    arms.push({ name: 'baseline', target: { ...target, app } });
  }
  arms.push(...settings.arm.map((text) => parseArm(text, target)));
  const names = arms.map(({ name }) => name);
  const twin = names.find((name, at) => names.indexOf(name) !== at);
  if (twin === undefined) return arms;
  throw new CofferdamError('COF_USAGE', `two arms are called ${twin}`);
}

// --- internal ---

const SNAPSHOTS_MAX = 3;

/** What people try, for `serve` runs it; Node would only tell of a syntax error. */
const OTHER_LANGUAGES = new Set(['.php', '.py', '.go', '.rb', '.pl', '.sh', '.toml']);

/**
 * `--thorough`: at the highest rate, 2000 requests between two checkpoints see 3 B each on Node 24.
 * A slower app gets fewer: without some ninety checkpoints more time would tell less.
 */
const THOROUGH_BATCH_SECONDS = 2;
const THOROUGH_CHECKPOINTS = 90;

function thoroughSeconds(durationMs: number): number {
  return Math.min(THOROUGH_BATCH_SECONDS, durationMs / 1000 / THOROUGH_CHECKPOINTS);
}

async function readBody(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new CofferdamError('COF_BAD_VALUE', `cannot read the body ${path}`, { cause });
  }
}

function headersOf(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    list.map((text) => {
      const match = /^([\w-]+): *(.*)$/.exec(text);
      if (match?.[1] !== undefined) return [match[1], match[2] ?? ''];
      const message = `--header ${JSON.stringify(text)} is not "name: value"`;
      throw new CofferdamError('COF_BAD_VALUE', message);
    }),
  );
}
