/** The catalog and what is made of it: both text formats, their size, and the names themselves. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { METRICS } from '../../src/metrics/catalog.ts';
import { negotiate, renderMetrics } from '../../src/metrics/exposition.ts';
import { poolOf, snapshotOf } from '../support/snapshots.ts';
import { findTool, lacks } from '../support/tools.ts';

/** What one scrape of 64 workers may cost. */
const SCRAPE_BYTES_MAX = 64 * 1024;

const quiet = snapshotOf([poolOf('app', 2), poolOf('health', 1)]);

function samplesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

describe('catalog', () => {
  test('names say what they count and in which unit', () => {
    for (const { name, type, unit, help } of METRICS) {
      expect(name).toMatch(/^cofferdam_[a-z]+(?:_[a-z]+)*$/);
      expect(name.endsWith('_total'), `${name} is a ${type}`).toBe(type === 'counter');
      if (unit !== null) expect(name.replace(/_total$/, '')).toMatch(new RegExp(`_${unit}$`));
      expect(name).not.toMatch(/_(?:ms|kib|mib|percent|count|sum|bucket)$/);
      expect(help).toMatch(/^[A-Z0-9].*\.$/);
    }
  });

  test('names are unique, labels bounded and always the same', () => {
    expect(new Set(METRICS.map(({ name }) => name)).size).toBe(METRICS.length);
    const labels = new Set(METRICS.flatMap((metric) => metric.labels));
    expect([...labels].sort()).toEqual([
      'code',
      'kind',
      'node',
      'pool',
      'probe',
      'reason',
      'result',
      'slot',
      'state',
      'version',
    ]);
    for (const { name, labels, read } of METRICS) {
      read(quiet, (values, _, suffix) => {
        const wanted = labels.length + (suffix === '_bucket' ? 1 : 0);
        expect(values, `${name}${suffix ?? ''}`).toHaveLength(wanted);
      });
    }
  });
});

describe('exposition', () => {
  test('every metric exists from the start, with a number', () => {
    const text = renderMetrics(quiet, 'prometheus');
    for (const { name } of METRICS) expect(text).toMatch(new RegExp(`^${name}[_a-z]*[{ ]`, 'm'));
    for (const sample of samplesOf(text)) {
      expect(sample).toMatch(
        /^[a-z_]+(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? (?:\d\S*|\+Inf)$/,
      );
    }
    const keys = samplesOf(text).map((sample) => sample.replace(/ \S+$/, ''));
    expect(new Set(keys).size).toBe(keys.length);
  });

  test('64 workers, with reserved health workers, are below 64 KiB in both formats', () => {
    const many = snapshotOf([poolOf('app', 64), poolOf('health', 1)]);
    for (const format of ['prometheus', 'openmetrics'] as const) {
      const bytes = Buffer.byteLength(renderMetrics(many, format));
      expect(bytes).toBeGreaterThan(SCRAPE_BYTES_MAX / 2);
      expect(bytes).toBeLessThan(SCRAPE_BYTES_MAX);
    }
  });

  test('histograms add up', () => {
    const pool = poolOf('app', 1);
    const durations = pool.counters.durations.map((_, index) => index + 1);
    const counters = { ...pool.counters, durations, durationSumMs: 12_345 };
    const text = renderMetrics(snapshotOf([{ ...pool, counters }]), 'openmetrics');
    const line = (suffix: string): string | undefined =>
      text
        .split('\n')
        .find((line) => line.startsWith(`cofferdam_request_duration_seconds${suffix}`));
    expect(line('_bucket{pool="app",le="0.005"}')).toMatch(/ 1$/);
    expect(line('_bucket{pool="app",le="1.0"}')).toMatch(/ 55$/);
    expect(line('_bucket{pool="app",le="+Inf"}')).toMatch(/ 120$/);
    expect(line('_count')).toMatch(/ 120$/);
    expect(line('_sum')).toMatch(/ 12\.345$/);
  });

  test('labels and help are escaped', () => {
    const odd = { ...quiet, version: 'a"b\\c\nd' };
    expect(renderMetrics(odd, 'prometheus')).toContain('version="a\\"b\\\\c\\nd"');
  });

  test('OpenMetrics drops _total from families, and ends with EOF', () => {
    const text = renderMetrics(quiet, 'openmetrics');
    expect(text).toContain('# TYPE cofferdam_requests counter\n');
    expect(text).toContain('\ncofferdam_requests_total{');
    expect(text).toMatch(/# UNIT cofferdam_gc_seconds seconds\n/);
    expect(text.endsWith('\n# EOF\n')).toBe(true);
  });

  test.skipIf(lacks('promtool'))('promtool has nothing to say', () => {
    const input = renderMetrics(quiet, 'prometheus');
    const tool = findTool('promtool') ?? 'promtool';
    const { status, stdout, stderr } = spawnSync(tool, ['check', 'metrics'], {
      input,
      encoding: 'utf8',
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  });
});

describe('content negotiation', () => {
  const prometheus2 =
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,' +
    'text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
  test.each([
    [undefined, 'prometheus'],
    ['', 'prometheus'],
    ['*/*', 'prometheus'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'prometheus'],
    [prometheus2, 'openmetrics'],
    ['application/openmetrics-text;version=1.0.0;q=0.2,text/plain;q=0.9', 'prometheus'],
    ['application/openmetrics-text; version=2.0.0', 'prometheus'],
    ['application/openmetrics-text;q=nonsense', 'prometheus'],
  ])('%j → %s', (accept, format) => {
    expect(negotiate(accept)).toBe(format);
  });
});
