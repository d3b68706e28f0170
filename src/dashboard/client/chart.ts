/** One chart of uPlot's with our lines, limits, marks, a legend that reads out, and keys. */
import type uPlotType from 'uplot';
import { colorOf, make, setText, themeKey } from './dom.ts';
import { UNKNOWN, formatTime } from './format.ts';
import { createLegend } from './legend.ts';
import { indexFrom, type ChartModel } from './lines.ts';
import { drawOver } from './overlay.ts';

/** Loaded by a script of its own before this module. */
declare const uPlot: typeof uPlotType;

export interface ChartOptions {
  readonly label: string;
  /** Shown while there is nothing to draw. */
  readonly empty: string;
  readonly format: (value: number | null) => string;
  /** Steps of the scale are round in KiB and MiB, not in thousands. */
  readonly isBytes?: boolean;
  /** Without axes, legend and keys: for a card. */
  readonly mini?: boolean;
}

export interface Chart {
  readonly element: HTMLElement;
  update(model: ChartModel): void;
  remove(): void;
}

export function createChart(options: ChartOptions): Chart {
  const plot = make('div', { class: options.mini ? 'plot mini' : 'plot', role: 'img' });
  const empty = make('p', { class: 'empty', hidden: true }, options.empty);
  const readout = make('output', { class: 'readout', 'aria-live': 'polite' });
  const legend = createLegend(options.format);
  const element = make('figure', { class: 'chart' }, plot, empty);
  if (!options.mini) {
    plot.tabIndex = 0;
    element.append(make('figcaption', {}, readout, legend.element));
  }
  let model: ChartModel | null = null;
  let chart: uPlotType | null = null;
  let shape = '';

  const readOut = (): void => {
    if (model === null || chart === null || options.mini) return;
    const index = chart.cursor.idx ?? null;
    const at = index === null ? null : chart.data[0][index];
    setText(readout, at === null || at === undefined ? 'now' : formatTime(at));
    legend.read(index === null ? null : indexFrom(model.times, at ?? 0));
  };
  const rebuild = (shown: ChartModel): void => {
    chart?.destroy();
    const hooks = {
      draw: [(drawn: uPlotType) => model && drawOver(drawn, model, options.mini === true)],
      setCursor: [readOut],
    };
    chart = new uPlot({ ...plotOptions(options, shown, plot, () => model!), hooks }, [[]], plot);
    legend.build(shown);
  };
  const update = (shown: ChartModel): void => {
    model = shown;
    const isEmpty = shown.lines.every(({ values }) => values.every((value) => value === null));
    empty.hidden = !isEmpty;
    plot.hidden = isEmpty;
    if (isEmpty || plot.clientWidth === 0) return;
    const now = shapeOf(shown);
    if (now !== shape || chart === null) rebuild(shown);
    shape = now;
    legend.update(shown);
    // One point before the window, so that the line begins at its edge.
    const first = Math.max(0, indexFrom(shown.times, shown.from) - 1);
    const columns = [shown.times, ...shown.lines.map(({ values }) => values)];
    chart?.setData(columns.map((column) => column.slice(first)) as uPlotType.AlignedData);
    plot.ariaLabel = summaryOf(options, shown);
    readOut();
  };
  const resize = new ResizeObserver(() => {
    if (chart === null && model !== null) update(model);
    chart?.setSize({ width: plot.clientWidth, height: plot.clientHeight });
  });
  resize.observe(plot);
  plot.addEventListener('keydown', (event) => chart && moveCursor(chart, event));
  plot.addEventListener('blur', () => chart?.setCursor({ left: -10, top: -10 }));
  return {
    element,
    update,
    remove() {
      resize.disconnect();
      chart?.destroy();
      element.remove();
    },
  };
}

// --- internal ---

const BYTE_STEPS = [1, 2 ** 10, 2 ** 20, 2 ** 30, 2 ** 40].flatMap((unit) =>
  [1, 2, 5, 10, 20, 50, 100, 256, 512].map((step) => step * unit),
);

/** What uPlot cannot change in a living chart. */
function shapeOf({ lines }: ChartModel): string {
  const looks = lines.map(
    ({ key, color, dash, width }) => `${key} ${color} ${dash.join()} ${width}`,
  );
  return `${themeKey()}|${looks.join('|')}`;
}

function plotOptions(
  { mini, format, isBytes }: ChartOptions,
  model: ChartModel,
  plot: HTMLElement,
  current: () => ChartModel,
): uPlotType.Options {
  const em = parseFloat(getComputedStyle(plot).fontSize);
  const axis = {
    stroke: colorOf('var(--muted)'),
    font: `${em}px ${getComputedStyle(plot).fontFamily}`,
    grid: { stroke: colorOf('var(--grid)'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: plot.clientWidth,
    height: plot.clientHeight,
    ms: 1,
    padding: mini ? [8, 4, 2, 0] : [em * 1.4, em * 1.6, 0, 0],
    legend: { show: false },
    cursor: { show: !mini, y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: {
      x: { time: true, range: () => [current().from, current().to] },
      y: { range: (_chart, _low, high) => [0, topOf(current(), high)] },
    },
    axes: mini
      ? [{ show: false }, { show: false }]
      : [
          { ...axis, size: em * 2.2, space: em * 6, values: (_chart, at) => at.map(shortTime) },
          {
            ...axis,
            size: em * 5.2,
            space: em * 3,
            ...(isBytes ? { incrs: BYTE_STEPS } : {}),
            values: (_chart, at) => at.map((value) => format(value).replace(/\.0+(?= )/, '')),
          },
        ],
    series: [
      {},
      ...model.lines.map(({ color, fill, dash, width }) => ({
        stroke: colorOf(color),
        ...(fill === undefined ? {} : { fill: colorOf(fill) }),
        dash: [...dash],
        width: mini ? Math.min(width, 1.75) : width,
        points: { show: false },
      })),
    ],
  };
}

/** Limits belong into the picture, unless they are so far that they would flatten the lines. */
function topOf({ limits }: ChartModel, high: number | null): number {
  const highest = high ?? 0;
  const near = limits.map(({ value }) => value).filter((value) => value < highest * 12);
  return Math.max(highest, ...near, Number.MIN_VALUE) * 1.12;
}

function shortTime(at: number): string {
  const text = formatTime(at);
  return text.endsWith(':00') ? text.slice(0, 5) : text;
}

function summaryOf({ label, format }: ChartOptions, { lines, limits }: ChartModel): string {
  const now = lines.map(({ label, values, told }) => {
    const value = (told ?? values).at(-1) ?? null;
    return `${label} ${value === null ? UNKNOWN : format(value)}`;
  });
  return [`${label}. Now: ${now.join(', ')}`, ...limits.map((limit) => limit.label)].join('. ');
}

function moveCursor(chart: uPlotType, event: KeyboardEvent): void {
  const [times] = chart.data;
  const { min = 0 } = chart.scales['x'] ?? {};
  const first = indexFrom(times as number[], min ?? 0);
  const last = times.length - 1;
  const now = chart.cursor.idx ?? last + 1;
  const step = event.shiftKey ? 10 : 1;
  const targets: Readonly<Record<string, number>> = {
    ArrowLeft: now - step,
    ArrowRight: now + step,
    Home: first,
    End: last,
  };
  const target = targets[event.key];
  if (target === undefined || last < 0) return;
  event.preventDefault();
  const at = times[Math.min(last, Math.max(first, target))] ?? 0;
  chart.setCursor({ left: chart.valToPos(at, 'x'), top: 10 });
}
