/** The legend of a chart: how each line looks, and its value where the cursor is. */
import { make, makeSvg, setText } from './dom.ts';
import type { ChartModel, Line } from './lines.ts';
import { REASONS } from './reasons.ts';

export interface Legend {
  readonly element: HTMLElement;
  /** Called when the set of lines or their looks changed. */
  build(model: ChartModel): void;
  update(model: ChartModel): void;
  /** Shows the values of that point; null = the newest. */
  read(index: number | null): void;
}

export function createLegend(format: (value: number | null) => string): Legend {
  const lines = make('ul', { class: 'lines' });
  const limits = make('ul', { class: 'limits' });
  const signs = make('ul', { class: 'signs' });
  const element = make('div', { class: 'legend' }, lines, limits, signs);
  let values: HTMLElement[] = [];
  let model: ChartModel | null = null;
  return {
    element,
    build(shown) {
      values = shown.lines.map(() => make('b'));
      const items = shown.lines.map((line, index) =>
        make('li', {}, swatch(line), `${line.label} `, values[index]!),
      );
      lines.replaceChildren(...items);
    },
    update(shown) {
      model = shown;
      const labels = shown.limits.map(({ label }) => label).join('|');
      if (limits.dataset['key'] !== labels) {
        limits.dataset['key'] = labels;
        limits.replaceChildren(
          ...shown.limits.map(({ label }) => make('li', {}, swatch(LIMIT_LOOK), label)),
        );
      }
      const reasons = new Set(
        shown.marks.flatMap(({ mark }) => (mark.at >= shown.from ? mark.reason : [])),
      );
      const key = [...reasons].toSorted().join();
      if (signs.dataset['key'] === key) return;
      signs.dataset['key'] = key;
      signs.replaceChildren(
        ...[...reasons].toSorted().map((reason) => {
          const { sign, text, isBad } = REASONS[reason];
          const kind = isBad ? 'sign bad' : 'sign';
          return make('li', {}, make('span', { class: kind, 'aria-hidden': 'true' }, sign), text);
        }),
      );
    },
    read(index) {
      for (const [at, line] of (model?.lines ?? []).entries()) {
        const told = line.told ?? line.values;
        const element = values[at];
        if (element) setText(element, format((index === null ? told.at(-1) : told[index]) ?? null));
      }
    },
  };
}

// --- internal ---

const LIMIT_LOOK = { color: 'var(--limit)', dash: [8, 3, 1.5, 3], width: 2 };

type Look = Pick<Line, 'color' | 'dash' | 'width' | 'fill'>;

function swatch({ color, dash, width, fill }: Look): SVGElement {
  const look = { x1: 0, y1: 5, x2: 26, y2: 5, 'stroke-width': Math.max(2, width) };
  const line = makeSvg('line', { ...look, 'stroke-dasharray': dash.join(' ') });
  line.style.stroke = color;
  const box = makeSvg('rect', { x: 0, y: 5, width: 26, height: 5 });
  box.style.fill = fill ?? 'none';
  return makeSvg(
    'svg',
    { viewBox: '0 0 26 10', class: 'swatch', 'aria-hidden': 'true' },
    box,
    line,
  );
}
