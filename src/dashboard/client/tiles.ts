/** The row of big numbers, and the bars of what is how full. */
import type { Status } from '../../control/status.ts';
import { make, setText } from './dom.ts';
import { UNKNOWN, formatBytes, formatCount, formatLatency, formatRate } from './format.ts';
import { gaugesOf, type Level } from './gauges.ts';
import { REASONS } from './reasons.ts';
import { servingOnly } from './serving.ts';
import type { Store } from './store.ts';

export interface View {
  update(store: Store): void;
}

export function createTiles(section: HTMLElement): View {
  const tiles = NAMES.map((name) => {
    const value = make('strong');
    const detail = make('small');
    section.append(make('div', { class: 'tile' }, make('span', {}, name), value, detail));
    return { value, detail };
  });
  return {
    update(store) {
      for (const [index, [value, detail]] of numbersOf(store).entries()) {
        setText(tiles[index]!.value, value);
        setText(tiles[index]!.detail, detail);
      }
    },
  };
}

export function createGauges(section: HTMLElement): View {
  const rows = new Map<string, Row>();
  return {
    update({ status }) {
      if (status === null) return;
      for (const { name, share, level, detail } of gaugesOf(status)) {
        const row = rows.get(name) ?? addRow(section, rows, name);
        const { box, bar, word, text } = row;
        box.dataset['level'] = level;
        bar.style.width = `${Math.min(1, share ?? 0) * 100}%`;
        setText(
          word,
          share === null ? UNKNOWN : WORDS[name === 'Serving' ? 'serving' : 'use'][level],
        );
        setText(text, detail);
      }
    },
  };
}

// --- internal ---

const NAMES = [
  'Requests per second',
  'p50',
  'p99',
  'In flight',
  'Memory',
  'Workers',
  'Recycles',
  'Crashes',
];

/** Words, so that nobody needs to see red. */
const WORDS: Readonly<Record<'use' | 'serving', Readonly<Record<Level, string>>>> = {
  use: { fine: 'fine', high: '▲ high', full: '■ full' },
  serving: { fine: 'all', high: '▲ not all', full: '■ none' },
};

interface Row {
  readonly box: HTMLElement;
  readonly bar: HTMLElement;
  readonly word: HTMLElement;
  readonly text: HTMLElement;
}

function addRow(section: HTMLElement, rows: Map<string, Row>, name: string): Row {
  const bar = make('i');
  const word = make('b');
  const text = make('small');
  const track = make('div', { class: 'bar', 'aria-hidden': 'true' }, bar);
  const box = make('div', { class: 'gauge' }, make('span', {}, name), word, track, text);
  section.append(box);
  const row = { box, bar, word, text };
  rows.set(name, row);
  return row;
}

function numbersOf({ status, pool }: Store): readonly (readonly [string, string])[] {
  if (status === null) return [];
  const serving = servingOnly(status.workers);
  const ready = serving.filter(({ state }) => state === 'ready').length;
  const longLived = status.workers.reduce((sum, worker) => sum + worker.longLived, 0);
  const { treeBytes, budget, crashes, bootFailures } = status;
  return [
    [formatRate(pool.requestsPerSecond.at(-1)), 'over the last 5 s'],
    [formatLatency(pool.p50Ms.at(-1)), 'half were faster'],
    [formatLatency(pool.p99Ms.at(-1)), '99 of 100 were faster'],
    [formatCount(pool.inFlight.at(-1) ?? 0), `${formatCount(longLived)} long-lived`],
    [formatBytes(treeBytes), `of ${formatBytes(budget.bytes)} (${budget.origin})`],
    [`${ready} / ${serving.length}`, leaving(status.workers.length - serving.length)],
    recyclesOf(status),
    [formatCount(crashes), `${formatCount(bootFailures)} boot failures`],
  ];
}

function leaving(extra: number): string {
  return extra > 0 ? `ready, and ${extra} more in change` : 'ready';
}

function recyclesOf({ recycles }: Status): readonly [string, string] {
  const counts = (Object.keys(REASONS) as (keyof typeof REASONS)[])
    .map((reason) => ({ text: REASONS[reason].text, count: recycles[reason] }))
    .filter(({ count }) => count > 0)
    .toSorted((a, b) => b.count - a.count);
  const all = counts.reduce((sum, { count }) => sum + count, 0);
  const first = counts.slice(0, 2).map(({ text, count }) => `${formatCount(count)} ${text}`);
  return [formatCount(all), first.join(', ') || 'none so far'];
}
