/** The catalog, its reference page, the Grafana dashboard and the alert rules agree. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { METRICS } from '../../src/metrics/catalog.ts';
import { findTool, lacks } from '../support/tools.ts';

const ALERTS = 'deploy/prometheus-alerts.yaml';
const DASHBOARD = 'deploy/grafana-dashboard.json';

const SERIES = new Set(
  METRICS.flatMap(({ name, type }) => {
    if (type === 'histogram') return ['_bucket', '_count', '_sum'].map((suffix) => name + suffix);
    return type === 'summary' ? ['_count', '_sum'].map((suffix) => name + suffix) : [name];
  }),
);

/** Metrics in an expression, with the labels that it asks for. */
function usesOf(expression: string): { name: string; labels: string[] }[] {
  return [...expression.matchAll(/(cofferdam_[a-z_]+)(?:\{([^}]*)\})?/g)].map(
    ([, name = '', selector = '']) => ({
      name,
      labels: [...selector.matchAll(/([a-z_]+)\s*(?:=~|!=|=)/g)].map(([, label = '']) => label),
    }),
  );
}

test('dashboard and alerts are what their script says', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/dashboard.mjs', '--check'], {
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

test.each([ALERTS, DASHBOARD])('%s uses only metrics and labels of the catalog', (file) => {
  const uses = usesOf(readFileSync(file, 'utf8').replaceAll('\\"', '"'));
  expect(uses.length).toBeGreaterThan(8);
  for (const { name, labels } of uses) {
    expect(SERIES, name).toContain(name);
    const metric = METRICS.find((metric) => name.startsWith(metric.name));
    const known = [...METRICS.filter((metric) => name === metric.name), metric!].flatMap(
      (metric) => metric.labels,
    );
    for (const label of labels) if (label !== 'instance') expect(known, name).toContain(label);
  }
});

test('the reference page has every metric', () => {
  const page = readFileSync('docs/reference/metrics.md', 'utf8');
  for (const { name } of METRICS) expect(page).toContain(`| \`${name}\` |`);
  for (const { help } of METRICS) expect(page).toContain(help);
});

test.skipIf(lacks('promtool'))('promtool accepts the alert rules', () => {
  const { status, stdout } = spawnSync(findTool('promtool') ?? '', ['check', 'rules', ALERTS], {
    encoding: 'utf8',
  });
  expect(stdout).toContain('SUCCESS');
  expect(status).toBe(0);
});
