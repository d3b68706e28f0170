/** `--help`, made from the settings table and the command table. */
import { EXIT_MEANINGS, KILLED_MEANING } from '../config/exit-codes.ts';
import {
  allowsSource,
  GROUPS,
  LEAK_GROUPS,
  placeholderOf,
  type SettingRow,
} from '../config/setting-row.ts';
import { SETTINGS } from '../config/settings.ts';
import { SIGNALS } from '../config/signals.ts';
import { formatValue } from '../config/values.ts';
import { EXIT } from '../errors.ts';
import type { CommandContext } from './command.ts';
import { COMMANDS, settingsOf, type Command } from './commands.ts';
import { painterFor, type Paint } from './terminal.ts';

/** Help of one command, or of the program; ends with a newline. */
export function renderHelp(
  command: Command | null,
  length: 'short' | 'full',
  { stdout, env }: Pick<CommandContext, 'stdout' | 'env'>,
): string {
  const paint = painterFor(stdout, env);
  const page: Page = { paint, width: Math.min(Math.max(stdout.columns ?? 80, 60), 100) };
  if (command === null && length === 'short') return `${renderShort(page)}\n`;
  const parts = command === null ? renderProgram(page) : renderCommand(page, command);
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

// --- internal ---

interface Page {
  readonly paint: Paint;
  readonly width: number;
}

type Entry = readonly [left: string, right: string];

const PROMISE = 'Keeps leaky web workers fresh: recycles them with zero dropped requests.';

function renderShort(page: Page): string {
  const examples = [
    'cofferdam serve server.js',
    'cofferdam serve server.js --workers 4 --max-memory 200MiB',
    'cofferdam status',
  ];
  return [
    PROMISE,
    list(page, 'Examples', examples),
    commandList(page),
    'More: cofferdam --help',
  ].join('\n\n');
}

function renderProgram(page: Page): readonly string[] {
  const examples = COMMANDS.flatMap((command) => command.examples.slice(0, 3));
  return [
    PROMISE,
    list(page, 'Examples', examples),
    commandList(page),
    ...settingGroups(page, SETTINGS),
    table(page, 'Other', globalEntries()),
    ...appendix(page),
  ];
}

function renderCommand(page: Page, command: Command): readonly string[] {
  return [
    command.summary,
    list(page, 'Examples', command.examples),
    list(page, 'Usage', [command.usage]),
    ...settingGroups(page, settingsOf(command)),
    table(page, 'Other', [...command.switches, ...globalEntries()]),
    ...(command.settings === 'all' ? appendix(page) : []),
  ];
}

function commandList(page: Page): string {
  const commands = COMMANDS.map(({ name, summary }): Entry => [name, summary]);
  return table(page, 'Commands', [...commands, ['help <command>', 'Show help of a command.']]);
}

function settingGroups(page: Page, rows: readonly SettingRow[]): readonly string[] {
  return [...new Set([...GROUPS, ...LEAK_GROUPS])].map((group) => {
    const entries = rows
      .filter((row) => row.group === group && !isFileOnly(row))
      .map((row): Entry => [flagOf(row), `${row.sentence} [${defaultOf(row)}]`]);
    return entries.length === 0 ? '' : table(page, group, entries);
  });
}

function isFileOnly(row: SettingRow): boolean {
  return !(['flag', 'positional', 'rest'] as const).some((source) => allowsSource(row, source));
}

function flagOf(row: SettingRow): string {
  if (!allowsSource(row, 'flag')) return `    ${placeholderOf(row)}`;
  const short = row.short === undefined ? '    ' : `-${row.short}, `;
  const negated = row.kind === 'boolean' && row.default === true ? '[no-]' : '';
  return `${short}--${negated}${row.key} ${placeholderOf(row)}`.trimEnd();
}

function defaultOf(row: SettingRow): string {
  if (row.kind === 'boolean') return row.default === true ? 'on' : 'off';
  if (row.key === 'app') return 'required';
  return row.defaultText ?? formatValue(row, row.default);
}

function globalEntries(): readonly Entry[] {
  return [
    ['-h, --help', 'Show help.'],
    ['    --version', 'Show the version.'],
    ['    --verbose', 'Show the stack of every error.'],
  ];
}

function appendix(page: Page): readonly string[] {
  const common = SETTINGS.flatMap((row: SettingRow) =>
    (row.commonVariables ?? []).map((name): Entry => [name, `The same as --${row.key}.`]),
  );
  const exits = Object.entries(EXIT).map(([name, code]): Entry => {
    return [String(code), EXIT_MEANINGS[name as keyof typeof EXIT]];
  });
  return [
    table(page, 'Environment', [
      [
        'COFFERDAM_<FLAG>',
        'Every flag has its variable: COFFERDAM_MAX_MEMORY=200MiB. Flags come first, ' +
          'then these, then the names below, then the file.',
      ],
      ...common,
      ['NO_COLOR, FORCE_COLOR', 'Never, or always, colour the output.'],
    ]),
    table(
      page,
      'Signals',
      SIGNALS.map(({ signal, does }) => [signal, does]),
    ),
    table(page, 'Exit codes', [...exits, ['128+n', KILLED_MEANING]]),
  ];
}

function list({ paint }: Page, title: string, lines: readonly string[]): string {
  return [paint('bold', title), ...lines.map((line) => `  ${line}`)].join('\n');
}

/** Wider left sides get a line of their own. */
const LEFT_COLUMNS_MAX = 28;

function table({ paint, width }: Page, title: string, entries: readonly Entry[]): string {
  const longest = Math.max(...entries.map(([left]) => left.length));
  const column = Math.min(longest, LEFT_COLUMNS_MAX) + 4;
  const lines = entries.flatMap(([left, right]) => {
    const [head = '', ...more] = wrap(right, width - column);
    const rest = more.map((line) => ' '.repeat(column) + line);
    return left.length > LEFT_COLUMNS_MAX
      ? [`  ${left}`, ' '.repeat(column) + head, ...rest]
      : [`  ${left.padEnd(column - 2)}${head}`, ...rest];
  });
  return [paint('bold', title), ...lines].join('\n');
}

function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
