/** A card for each slot: its own sawtooth, and, opened, everything that is known of its worker. */
import type { WorkerStatus } from '../../control/status.ts';
import { createChart, type Chart } from './chart.ts';
import { make, setText } from './dom.ts';
import {
  UNKNOWN,
  formatBytes,
  formatCount,
  formatDuration,
  formatRate,
  formatShare,
} from './format.ts';
import { memoryLines, type ChartModel } from './lines.ts';
import { REASONS } from './reasons.ts';
import { servingOnly } from './serving.ts';
import { slotName } from './slot-name.ts';
import type { Store } from './store.ts';

export interface Cards {
  update(store: Store, window: { readonly from: number; readonly to: number }): void;
  /** Slots whose card is open: they stand out in the big chart. */
  chosen(): ReadonlySet<number>;
}

export function createCards(section: HTMLElement, onChoice: () => void): Cards {
  const cards = new Map<number, Card>();
  const chosen = new Set<number>();
  const choose = (slot: number): void => {
    if (!chosen.delete(slot)) chosen.add(slot);
    onChoice();
  };
  return {
    update(store, window) {
      const workers = store.status?.workers ?? [];
      const serving = servingOnly(workers);
      const slots = new Set(serving.map(({ slot }) => slot));
      for (const [slot, card] of cards) {
        if (slots.has(slot)) continue;
        card.chart.remove();
        card.element.remove();
        cards.delete(slot);
        chosen.delete(slot);
      }
      for (const worker of serving) {
        const { slot } = worker;
        const card = cards.get(slot) ?? addCard(cards, worker, store, () => choose(slot));
        // In the order of the slots, also when one comes later.
        section.append(...(card.element.isConnected ? [] : [card.element]));
        const others = workers.filter((each) => each.slot === slot && each !== worker);
        fill(card, worker, others, store, chosen.has(slot));
        card.chart.update(modelOf(store, worker, window));
      }
    },
    chosen: () => chosen,
  };
}

/** Everything that is worth a line when the scale is the whole card. */
export function marksOf(store: Store, slot: number): ChartModel['marks'] {
  const values = store.slots.get(slot)?.memoryBytes ?? [];
  return store.marks.flatMap((mark) => (mark.slot === slot ? { mark, values } : []));
}

// --- internal ---

interface Card {
  readonly element: HTMLElement;
  readonly button: HTMLButtonElement;
  readonly state: HTMLElement;
  readonly memory: HTMLElement;
  readonly rate: HTMLElement;
  readonly note: HTMLElement;
  readonly details: HTMLElement;
  readonly values: ReadonlyMap<string, HTMLElement>;
  readonly chart: Chart;
}

/** Signs, so that states differ without color. */
const SIGNS: Readonly<Record<string, string>> = {
  booting: '◔',
  ready: '●',
  draining: '◑',
  lingering: '◑',
  stopping: '○',
  killing: '✕',
};

const DETAILS: readonly (readonly [string, (worker: WorkerStatus) => string])[] = [
  ['Generation', ({ generation }) => formatCount(generation)],
  ['Process', ({ pid }) => String(pid ?? UNKNOWN)],
  ['Age', ({ ageMs }) => formatDuration(ageMs)],
  ['Requests', ({ requests }) => formatCount(requests)],
  ['In flight', ({ inFlight }) => formatCount(inFlight)],
  ['Long-lived', ({ longLived }) => formatCount(longLived)],
  ['Connections', ({ connections }) => formatCount(connections)],
  ['Heap used', ({ heapUsedBytes }) => formatBytes(heapUsedBytes)],
  ['Memory limit', ({ limitBytes }) => (limitBytes > 0 ? formatBytes(limitBytes) : 'none')],
  ['Growth', ({ slopeBytesPerSecond: slope }) => growth(slope)],
  ['Next recycle', ({ next }) => nextOf(next)],
  ['Event loop', ({ eventLoopUtilization }) => `${formatShare(eventLoopUtilization)} busy`],
];

function growth(bytesPerSecond: number | undefined): string {
  if (bytesPerSecond === undefined) return UNKNOWN;
  const sign = bytesPerSecond < 0 ? '−' : '+';
  return `${sign}${formatBytes(Math.round(Math.abs(bytesPerSecond)))}/s`;
}

function nextOf(next: WorkerStatus['next']): string {
  if (next === undefined) return UNKNOWN;
  if (next === null) return 'none in sight';
  return `${REASONS[next.reason].text} in ${formatDuration(next.inMs)}`;
}

function addCard(
  cards: Map<number, Card>,
  { slot }: WorkerStatus,
  { status }: Store,
  onChoose: () => void,
): Card {
  const name = slotName(slot, status);
  const state = make('span', { class: 'state' });
  const memory = make('strong');
  const rate = make('span', { class: 'rate' });
  const note = make('p', { class: 'note', hidden: true });
  const values = new Map(DETAILS.map(([name]) => [name, make('dd')]));
  const pairs = [...values].map(([name, value]) => make('div', {}, make('dt', {}, name), value));
  const details = make('dl', { id: `details-${slot}`, hidden: true }, ...pairs);
  const title = make('span', { class: 'slot' }, name);
  const attributes = { 'aria-expanded': 'false', 'aria-controls': details.id };
  const button = make('button', { type: 'button', ...attributes }, title, state);
  button.addEventListener('click', onChoose);
  const chart = createChart({
    label: `Memory of ${name.replace('Slot', 'slot')}`,
    empty: 'No worker here yet.',
    format: formatBytes,
    mini: true,
  });
  const numbers = make('p', { class: 'numbers' }, memory, rate);
  const heading = make('h3', {}, button);
  const element = make(
    'article',
    { class: 'card' },
    heading,
    numbers,
    chart.element,
    note,
    details,
  );
  const card = { element, button, state, memory, rate, note, details, values, chart };
  cards.set(slot, card);
  return card;
}

function fill(
  card: Card,
  worker: WorkerStatus,
  others: readonly WorkerStatus[],
  store: Store,
  isOpen: boolean,
): void {
  const { limitBytes, memoryBytes, state, responsive } = worker;
  const word = !responsive ? 'does not answer' : state;
  card.element.dataset['state'] = !responsive ? 'silent' : state;
  setText(card.state, `${!responsive ? '✕' : (SIGNS[state] ?? '?')} ${word}`);
  const share = limitBytes > 0 ? ` of ${formatBytes(limitBytes)}` : '';
  setText(card.memory, `${formatBytes(memoryBytes)}${share}`);
  const perSecond = store.slots.get(worker.slot)?.requestsPerSecond.at(-1);
  setText(card.rate, `${formatRate(perSecond)} req/s`);
  const notes = others.map(
    ({ generation, state, inFlight }) =>
      `Generation ${generation} is ${state}${inFlight > 0 ? ` with ${inFlight} in flight` : ''}.`,
  );
  card.note.hidden = notes.length === 0;
  setText(card.note, notes.join(' '));
  card.button.ariaExpanded = String(isOpen);
  card.element.toggleAttribute('data-open', isOpen);
  card.details.hidden = !isOpen;
  if (!isOpen) return;
  for (const [name, tell] of DETAILS) setText(card.values.get(name)!, tell(worker));
}

function modelOf(
  store: Store,
  { slot, limitBytes }: WorkerStatus,
  window: { readonly from: number; readonly to: number },
): ChartModel {
  const lines = memoryLines(store, [slot], false).map((line) => ({
    ...line,
    fill: `color-mix(in srgb, ${line.color} 18%, transparent)`,
  }));
  const limits = limitBytes > 0 ? [{ value: limitBytes, label: 'limit' }] : [];
  return { times: store.times, ...window, lines, limits, marks: marksOf(store, slot) };
}
