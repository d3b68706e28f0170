/** The row of big numbers, and the bars of what is how full. */
import type { Status } from '../../control/status.ts';
import type { RecycleReason } from '../../control/types.ts';
import { make, setText } from './dom.ts';
import { formatBytes, formatCount, formatLatency, formatRate } from './format.ts';
import { gaugesOf } from './gauges.ts';
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
      for (const { name, word: told, share, level, detail } of gaugesOf(status)) {
        const row = rows.get(name) ?? addRow(section, rows, name);
        const { box, bar, word, text } = row;
        box.dataset['level'] = level;
        bar.style.width = `${Math.min(1, share ?? 0) * 100}%`;
        setText(word, told);
        setText(text, detail);
      }
    },
  };
}

/** How often which reason replaced a worker, the most frequent first. */
export function createReasons(section: HTMLElement): View {
  const list = make('ul', { class: 'reasons' });
  section.append(make('h2', {}, 'Why workers were replaced'), list);
  let shown = '';
  return {
    update({ status }) {
      if (status === null) return;
      const counts = countsOf(status);
      const key = JSON.stringify(counts);
      if (key === shown) return;
      shown = key;
      const items = counts.map(({ reason, count }) => {
        const { sign, text, isBad } = REASONS[reason];
        const kind = isBad ? 'sign bad' : 'sign';
        const letter = make('span', { class: kind, 'aria-hidden': 'true' }, sign);
        return make('li', {}, letter, make('span', {}, text), make('b', {}, formatCount(count)));
      });
      list.replaceChildren(...(items.length > 0 ? items : [make('li', {}, 'None was, so far.')]));
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
    [
      formatCount(pool.inFlight.at(-1) ?? 0),
      `${formatCount(longLived)} long-lived${waiting(status)}`,
    ],
    [formatBytes(treeBytes), `of ${formatBytes(budget.bytes)} (${budget.origin})`],
    [`${ready} / ${serving.length}`, leaving(status.workers.length - serving.length)],
    recyclesOf(status),
    [formatCount(crashes), `${formatCount(bootFailures)} boot failures`],
  ];
}

/** Only a gateway knows who waits. */
function waiting({ pools }: Status): string {
  const known = pools.flatMap((pool) => pool.waiting ?? []);
  const sum = known.reduce((all, each) => all + each, 0);
  return known.length === 0 ? '' : `, ${formatCount(sum)} waiting`;
}

function leaving(extra: number): string {
  return extra > 0 ? `ready, and ${extra} more in change` : 'ready';
}

function recyclesOf(status: Status): readonly [string, string] {
  const counts = countsOf(status);
  const [first] = counts;
  const all = counts.reduce((sum, { count }) => sum + count, 0);
  const most = first && `${formatCount(first.count)} by ${REASONS[first.reason].text}`;
  return [formatCount(all), most ?? 'none so far'];
}

function countsOf({ recycles }: Status): readonly { reason: RecycleReason; count: number }[] {
  return (Object.keys(REASONS) as RecycleReason[])
    .map((reason) => ({ reason, count: recycles[reason] }))
    .filter(({ count }) => count > 0)
    .toSorted((a, b) => b.count - a.count);
}
