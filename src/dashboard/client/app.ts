/** The page: stream → store → views, at most once a frame and only while somebody looks. */
import { createCards, marksOf } from './cards.ts';
import { createChart, type Chart } from './chart.ts';
import { byId, setText } from './dom.ts';
import { createEventList } from './event-list.ts';
import { formatBytes, formatDuration, formatLatency, formatRate } from './format.ts';
import { memoryLines, stackedLines, type ChartModel, type Limit } from './lines.ts';
import { openLink } from './link.ts';
import { servingOnly } from './serving.ts';
import { createStore, type Store } from './store.ts';
import { createGauges, createReasons, createTiles } from './tiles.ts';

const MINUTE_MS = 60_000;
const THEME = 'cofferdam-theme';

const store = createStore();
let windowMs = 5 * MINUTE_MS;
let isDrawn = true;

byId('page').hidden = false;
const views = [
  createTiles(byId('tiles')),
  createGauges(byId('gauges')),
  createReasons(byId('reasons')),
  createEventList(byId('events')),
];
const cards = createCards(byId('cards'), redraw);
const memory = addChart('memory', 'Memory of each worker', 'Waiting for workers.', formatBytes);
const tree = addChart('tree', 'Memory of the whole tree', 'Not known on this system.', formatBytes);
const requests = addChart('requests', 'Requests per second', 'None counted yet.', formatRate);
const latency = addChart('latency', 'Latency', 'No request was timed yet.', formatLatency);

onChoice('window', (value) => {
  windowMs = Number(value) * MINUTE_MS;
});
onChoice('theme', setTheme);
setTheme(readTheme());
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
document.addEventListener('visibilitychange', redraw);

openLink({
  hello: (hello) => store.greet(hello),
  sample: (sample) => store.add(sample),
  told: (news) => store.hear(news),
  state(state) {
    document.documentElement.dataset['link'] = state;
    const text = state === 'live' ? '● live' : '○ no connection, trying again';
    setText(byId('link'), text);
    redraw();
  },
});

// --- internal ---

function redraw(): void {
  if (!isDrawn || document.hidden) return;
  isDrawn = false;
  requestAnimationFrame(() => {
    isDrawn = true;
    draw();
  });
}

function draw(): void {
  const { status } = store;
  if (status === null) return;
  const { name, state, pid, uptimeMs, listen } = status;
  const parts = [name, state, `up ${formatDuration(uptimeMs)}`, `process ${pid}`, ...listen];
  setText(byId('instance'), parts.join(' · '));
  document.title = `${name} · Cofferdam`;
  for (const view of views) view.update(store);
  const to = store.times.at(-1) ?? 0;
  const window = { from: to - windowMs, to };
  cards.update(store, window);
  memory.update(memoryModel(store, window));
  const { bytes } = status.budget;
  tree.update({
    ...base(window),
    lines: stackedLines(store, slotsWithin(store)),
    limits: bytes > 0 ? [{ value: bytes, label: `budget ${formatBytes(bytes)}` }] : [],
  });
  const { requestsPerSecond, p50Ms, p99Ms } = store.pool;
  const rate = { key: 'rate', label: 'All workers', values: requestsPerSecond, dash: [], width: 2 };
  const color = 'var(--slot-1)';
  const fill = `color-mix(in srgb, ${color} 15%, transparent)`;
  requests.update({ ...base(window), lines: [{ ...rate, color, fill }], limits: [] });
  const p99 = { key: 'p99', label: 'p99', values: p99Ms, dash: [9, 4], width: 2 };
  const p50 = { key: 'p50', label: 'p50', values: p50Ms, dash: [], width: 2 };
  const lines = [
    { ...p99, color: 'var(--slot-2)' },
    { ...p50, color },
  ];
  latency.update({ ...base(window), lines, limits: [] });
}

interface TimeWindow {
  readonly from: number;
  readonly to: number;
}

function base(window: TimeWindow): Pick<ChartModel, 'times' | 'from' | 'to' | 'marks'> {
  return { times: store.times, ...window, marks: [] };
}

/** With cards open the big chart shows these slots in front and the others as a backdrop. */
function memoryModel(store: Store, window: TimeWindow): ChartModel {
  const slots = slotsWithin(store);
  const chosen = cards.chosen();
  const front = chosen.size === 0 ? slots : slots.filter((slot) => chosen.has(slot));
  const back = slots.filter((slot) => !front.includes(slot));
  const faded = memoryLines(store, back, false).map((line) => ({
    ...line,
    tag: '',
    color: `color-mix(in srgb, ${line.color} 30%, var(--panel))`,
    width: 1,
  }));
  return {
    ...base(window),
    lines: [...faded, ...memoryLines(store, front, chosen.size > 0)],
    limits: limitsOf(store),
    marks: front.flatMap((slot) => marksOf(store, slot)),
  };
}

function limitsOf({ status }: Store): Limit[] {
  const limits = new Set(status?.workers.map(({ limitBytes }) => limitBytes));
  return [...limits]
    .filter((value) => value > 0)
    .map((value) => ({ value, label: `limit ${formatBytes(value)}` }));
}

/** Those with a worker now; a slot that was scaled away leaves with its line. */
function slotsWithin({ status }: Store): number[] {
  return servingOnly(status?.workers ?? []).map(({ slot }) => slot);
}

function addChart(
  id: string,
  label: string,
  empty: string,
  format: (value: number | null) => string,
): Chart {
  const chart = createChart({ label, empty, format, isBytes: format === formatBytes });
  byId(id).append(chart.element);
  return chart;
}

function onChoice(name: string, choose: (value: string) => void): void {
  byId(name).addEventListener('change', (event) => {
    if (event.target instanceof HTMLInputElement) choose(event.target.value);
    redraw();
  });
}

function setTheme(theme: string): void {
  document.documentElement.dataset['theme'] = theme;
  const input = document.querySelector<HTMLInputElement>(`#theme [value="${theme}"]`);
  if (input) input.checked = true;
  try {
    localStorage.setItem(THEME, theme);
  } catch {
    // A browser that forbids it forgets the choice, which is what was asked of it.
  }
}

function readTheme(): string {
  try {
    const theme = localStorage.getItem(THEME) ?? 'auto';
    return ['auto', 'light', 'dark'].includes(theme) ? theme : 'auto';
  } catch {
    return 'auto';
  }
}
