/**
 * The command table: names, help and the module that does the work, loaded only when it is asked
 * for.
 */
import { LEAK_SETTINGS } from '../config/settings-leak.ts';
import { SETTINGS } from '../config/settings.ts';
import type { SettingRow } from '../config/setting-row.ts';
import type { Run } from './command.ts';

export interface Command {
  readonly name: string;
  readonly summary: string;
  readonly usage: string;
  /** All settings of `serve`, those that find a running instance, none, or a table of its own. */
  readonly settings: 'all' | 'instance' | 'none' | readonly SettingRow[];
  /** Switches that only this command has: `--json` and what it does. */
  readonly switches: readonly (readonly [flag: string, sentence: string])[];
  readonly examples: readonly string[];
  readonly load: () => Promise<{ readonly run: Run }>;
  /** What others call it: for suggestions only. */
  readonly elsewhere: readonly string[];
}

/** Settings by which a client command finds its instance. */
export const INSTANCE_SETTINGS = ['name', 'config'] as const;

/** The rows behind the flags of a command. */
export function settingsOf({ settings }: Command): readonly SettingRow[] {
  if (settings === 'all') return SETTINGS;
  if (settings === 'none') return [];
  if (settings !== 'instance') return settings;
  return SETTINGS.filter((row) => INSTANCE_SETTINGS.some((key) => key === row.key));
}

const JSON_SWITCH = ['--json', 'Print JSON instead of text.'] as const;

export const COMMANDS: readonly Command[] = [
  {
    name: 'serve',
    summary: 'Run an app on a pool of workers.',
    usage: 'cofferdam serve <app> [flags] [-- app arguments] | serve [flags] -- <command>',
    settings: 'all',
    switches: [],
    examples: [
      'cofferdam serve server.js',
      'cofferdam serve server.js --port 8080 --workers 4',
      'cofferdam serve . --max-requests 5000 --max-memory 200MiB',
      'cofferdam serve server.js -- --verbose-app',
      'cofferdam serve --max-memory 200MiB -- gunicorn -b unix:{socket} shop:app',
    ],
    load: () => import('./serve.ts'),
    elsewhere: ['start', 'run', 'up', 'exec'],
  },
  {
    name: 'leak',
    summary: 'Find out whether an app leaks, how much, and where.',
    usage: 'cofferdam leak <app> [flags] [-- app arguments]',
    settings: LEAK_SETTINGS,
    switches: [],
    examples: [
      'cofferdam leak server.js',
      'cofferdam leak server.js --path /search?q={{n}} --duration 2m',
      'cofferdam leak server.js --script requests.har --json',
      'cofferdam leak server.js --baseline last-week.js',
      'cofferdam leak --diff one.heapsnapshot two.heapsnapshot three.heapsnapshot',
    ],
    load: () => import('./leak.ts'),
    elsewhere: ['leaks', 'memory', 'profile', 'heap'],
  },
  {
    name: 'check',
    summary: 'Show the configuration and where each value is from.',
    usage: 'cofferdam check [<app>] [flags]',
    settings: 'all',
    switches: [JSON_SWITCH],
    examples: ['cofferdam check server.js --memory-budget 512MiB', 'cofferdam check --json'],
    load: () => import('./check.ts'),
    elsewhere: ['test', 'validate', 'config', 'verify', 'lint'],
  },
  {
    name: 'status',
    summary: 'Show the workers of a running instance.',
    usage: 'cofferdam status [--watch] [--name <name>] [--json]',
    settings: 'instance',
    switches: [['--watch', 'Show it anew each second, until Ctrl-C.'], JSON_SWITCH],
    examples: ['cofferdam status', 'cofferdam status --watch', 'cofferdam status --json'],
    load: () => import('./status.ts'),
    elsewhere: ['list', 'ls', 'ps', 'info', 'show', 'top'],
  },
  {
    name: 'events',
    summary: 'Follow the decisions of a running instance.',
    usage: 'cofferdam events [--name <name>] [--json]',
    settings: 'instance',
    switches: [JSON_SWITCH],
    examples: ['cofferdam events', 'cofferdam events --json | jq .reason'],
    load: () => import('./events.ts'),
    elsewhere: ['logs', 'log', 'tail', 'watch', 'monitor', 'monit'],
  },
  {
    name: 'reload',
    summary: 'Read the configuration again, replace the workers.',
    usage: 'cofferdam reload [--no-wait] [--name <name>]',
    settings: 'instance',
    switches: [['--no-wait', 'Ask for it and return, instead of waiting until it is done.']],
    examples: ['cofferdam reload'],
    load: () => import('./reload.ts'),
    elsewhere: ['refresh', 'hup'],
  },
  {
    name: 'recycle',
    summary: 'Replace one worker, those of a pool, or all, one by one.',
    usage: 'cofferdam recycle [[POOL/]SLOT | POOL] [--no-wait] [--name <name>] [--json]',
    settings: 'instance',
    switches: [
      ['--no-wait', 'Ask for it and return, instead of waiting until it is done.'],
      JSON_SWITCH,
    ],
    examples: ['cofferdam recycle', 'cofferdam recycle 2', 'cofferdam recycle api/2'],
    load: () => import('./recycle.ts'),
    elsewhere: ['restart', 'replace', 'rotate', 'respawn'],
  },
  {
    name: 'scale',
    summary: 'Change the number of workers, within MIN..MAX.',
    usage: 'cofferdam scale [POOL] <n> [--name <name>] [--json]',
    settings: 'instance',
    switches: [JSON_SWITCH],
    examples: ['cofferdam scale 6', 'cofferdam scale api 6'],
    load: () => import('./scale.ts'),
    elsewhere: ['resize', 'workers', 'instances'],
  },
  {
    name: 'probe',
    summary: 'Ask whether an instance is well; exit code 0: yes.',
    usage: 'cofferdam probe live|ready|started [--name <name>] [--json]',
    settings: 'instance',
    switches: [JSON_SWITCH],
    examples: ['cofferdam probe ready', 'cofferdam probe live --json'],
    load: () => import('./probe.ts'),
    elsewhere: ['health', 'healthcheck', 'ping', 'ready', 'live'],
  },
];
