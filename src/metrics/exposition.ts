/** Writes a snapshot as Prometheus or OpenMetrics text, whichever the scraper asks for. */
import { METRICS } from './catalog.ts';
import type { Metric } from './metric.ts';
import type { Snapshot } from './snapshot.ts';

export type Format = 'prometheus' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** What an `Accept` header asks for; without one, the older format, which everybody reads. */
export function negotiate(accept: string | undefined): Format {
  if (accept === undefined) return 'prometheus';
  let best: { format: Format; quality: number } = { format: 'prometheus', quality: 0 };
  for (const part of accept.slice(0, ACCEPT_CHARS_MAX).split(',')) {
    const [type = '', ...parameters] = part.split(';').map((word) => word.trim().toLowerCase());
    const format = formatOf(type, parameters);
    const weight = parameters.find((parameter) => parameter.startsWith('q='));
    const quality = weight === undefined ? 1 : Number(weight.slice(2));
    if (format !== null && quality > best.quality) best = { format, quality };
  }
  return best.format;
}

/** The whole exposition: every metric of the catalog, in its order. */
export function renderMetrics(snapshot: Snapshot, format: Format): string {
  const parts: string[] = [];
  for (const metric of METRICS) renderMetric(metric, snapshot, format, parts);
  if (format === 'openmetrics') parts.push('# EOF\n');
  return parts.join('');
}

// --- internal ---

/** Prometheus sends some 200 characters. */
const ACCEPT_CHARS_MAX = 1024;

/** OpenMetrics calls a counter's family by its name without `_total`. */
const TOTAL = /_total$/;

function formatOf(type: string, parameters: readonly string[]): Format | null {
  if (type === 'text/plain' || type === 'text/*' || type === '*/*') return 'prometheus';
  if (type !== 'application/openmetrics-text') return null;
  const version = parameters.find((parameter) => parameter.startsWith('version='));
  return version === undefined || version.endsWith('=1.0.0') || version.endsWith('=0.0.1')
    ? 'openmetrics'
    : null;
}

function renderMetric(metric: Metric, snapshot: Snapshot, format: Format, parts: string[]): void {
  const { name, labels } = metric;
  parts.push(HEADS[format].get(metric) ?? headOf(metric, format));
  metric.read(snapshot, (values, value, suffix = '') => {
    let text = '';
    for (let i = 0; i < values.length; i += 1) {
      const label = labels[i] ?? 'le';
      text += `${i === 0 ? '{' : ','}${label}="${escapeLabel(values[i]!)}"`;
    }
    parts.push(`${name}${suffix}${text}${text === '' ? '' : '}'} ${formatNumber(value)}\n`);
  });
}

/** The same in every scrape. */
const HEADS: Readonly<Record<Format, ReadonlyMap<Metric, string>>> = {
  prometheus: new Map(METRICS.map((metric) => [metric, headOf(metric, 'prometheus')])),
  openmetrics: new Map(METRICS.map((metric) => [metric, headOf(metric, 'openmetrics')])),
};

function headOf({ name, type, unit, help }: Metric, format: Format): string {
  const family = format === 'openmetrics' ? name.replace(TOTAL, '') : name;
  const head = `# HELP ${family} ${escapeHelp(help, format)}\n# TYPE ${family} ${type}\n`;
  // A unit line is allowed only where the family's name ends in the unit.
  const hasUnit = format === 'openmetrics' && unit !== null && family.endsWith(`_${unit}`);
  return hasUnit ? `${head}# UNIT ${family} ${unit}\n` : head;
}

function formatNumber(value: number): string {
  if (value === Infinity) return '+Inf';
  return Number.isFinite(value) ? String(value) : 'NaN';
}

const NEEDS_ESCAPE = /["\\\n]/;

function escapeLabel(text: string): string {
  if (!NEEDS_ESCAPE.test(text)) return text;
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function escapeHelp(text: string, format: Format): string {
  const plain = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  return format === 'openmetrics' ? plain.replaceAll('"', '\\"') : plain;
}
