/** What is drawn on top of a chart: limits, marks with the letter of their reason, slot numbers. */
import type uPlotType from 'uplot';
import { colorOf } from './dom.ts';
import { valueBefore, type ChartModel } from './lines.ts';
import { REASONS } from './reasons.ts';

/** More letters than this are a carpet; then each mark is a tick only. */
const LETTERS_MAX = 60;
const LETTERS_MAX_MINI = 9;
/** More numbers than this cannot be told apart at the edge. */
const TAGS_MAX = 16;

export function drawOver(chart: uPlotType, model: ChartModel, isMini: boolean): void {
  const { ctx } = chart;
  ctx.save();
  const em = parseFloat(getComputedStyle(chart.root).fontSize) * devicePixelRatio;
  const family = getComputedStyle(chart.root).fontFamily;
  ctx.font = `600 ${em * 0.92}px ${family}`;
  drawLimits(chart, model, isMini, em);
  drawMarks(chart, model, isMini, em);
  if (!isMini) drawTags(chart, model, em);
  ctx.restore();
}

// --- internal ---

function drawLimits(chart: uPlotType, model: ChartModel, isMini: boolean, em: number): void {
  const { ctx, bbox } = chart;
  ctx.strokeStyle = ctx.fillStyle = colorOf('var(--limit)');
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.textAlign = 'left';
  ctx.textBaseline = 'bottom';
  for (const { value, label } of model.limits) {
    const y = chart.valToPos(value, 'y', true);
    if (y < bbox.top) continue;
    ctx.setLineDash([em * 0.8, em * 0.3, em * 0.15, em * 0.3]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    // Where marks are, they would cover it; the legend has it anyway.
    if (!isMini && model.marks.length === 0)
      ctx.fillText(label, bbox.left + em * 0.4, y - em * 0.15);
  }
  ctx.setLineDash([]);
}

function drawMarks(chart: uPlotType, model: ChartModel, isMini: boolean, em: number): void {
  const { ctx, bbox } = chart;
  const shown = model.marks.filter(({ mark }) => mark.at >= model.from && mark.at <= model.to);
  const withLetters = shown.length <= (isMini ? LETTERS_MAX_MINI : LETTERS_MAX);
  const radius = em * (isMini ? 0.55 : 0.68);
  ctx.textAlign = 'center';
  ctx.textBaseline = 'middle';
  if (isMini) ctx.font = ctx.font.replace(/[\d.]+px/, `${em * 0.75}px`);
  for (const { mark, values } of shown) {
    const { sign, isBad } = REASONS[mark.reason];
    const value = valueBefore(model.times, values, mark.at);
    const x = chart.valToPos(mark.at, 'x', true);
    const peak = value === null ? bbox.top + bbox.height : chart.valToPos(value, 'y', true);
    const color = colorOf(isBad ? 'var(--bad)' : 'var(--mark)');
    ctx.fillStyle = color;
    if (!withLetters) {
      ctx.fillRect(x - devicePixelRatio, peak - em * 0.6, 2 * devicePixelRatio, em * 0.6);
      continue;
    }
    const y = Math.max(bbox.top, peak - radius * 1.5);
    ctx.beginPath();
    if (isBad) ctx.rect(x - radius, y - radius, 2 * radius, 2 * radius);
    else ctx.arc(x, y, radius, 0, 2 * Math.PI);
    ctx.fill();
    ctx.fillStyle = colorOf('var(--panel)');
    ctx.fillText(sign, x, y + em * 0.04);
  }
}

function drawTags(chart: uPlotType, model: ChartModel, em: number): void {
  const { ctx, bbox } = chart;
  const tags = model.lines
    .flatMap(({ tag, values, color }) => {
      const value = values.at(-1) ?? null;
      return tag === undefined || value === null
        ? []
        : [{ tag, color, y: chart.valToPos(value, 'y', true) }];
    })
    .toSorted((a, b) => a.y - b.y);
  if (tags.length > TAGS_MAX) return;
  ctx.font = ctx.font.replace(/[\d.]+px/, `${em}px`);
  ctx.textAlign = 'left';
  ctx.textBaseline = 'middle';
  let free = -Infinity;
  for (const { tag, color, y } of tags) {
    free = Math.max(free, y);
    ctx.fillStyle = colorOf(color);
    ctx.fillText(tag, bbox.left + bbox.width + em * 0.35, free);
    free += em;
  }
}
