/** The report for a terminal: the sentence, the evidence, what to do; some twenty lines. */
import { relative } from 'node:path';
import { formatHolder, perOf } from './report.ts';
import type { Report } from './report.ts';
import type { Suspect } from './heap-compare.ts';
import type { Rate } from './finding.ts';
import { formatAmount, formatNumber, formatSpan } from './words.ts';

export type Style = (style: 'bold' | 'dim' | 'red' | 'green' | 'yellow', text: string) => string;

export function renderText(report: Report, paint: Style, cwd: string): string {
  const { verdict, load, culprit, death } = report;
  const color = verdict.kind === 'leak' ? 'red' : verdict.kind === 'undecided' ? 'yellow' : 'green';
  const lines = [paint('bold', paint(color, report.sentence))];
  for (const line of report.advice) lines.push(`  ${line}`);
  if (death !== null) lines.push(`  The app died: ${death.signal ?? `exit code ${death.code}`}.`);
  if (report.stopped !== null) lines.push(`  The load was stopped early: ${report.stopped}.`);
  if (culprit !== null) lines.push('', ...renderCulprit(culprit, verdict, paint, cwd));
  const add = (title: string, texts: readonly string[]): void => {
    if (texts.length === 0) return;
    lines.push('', paint('bold', title), ...texts.map((line) => `  ${line}`));
  };
  if (verdict.kind !== 'leak' || verdict.rate?.per !== 'request') add('By load', report.byLoad);
  if (verdict.kind !== 'leak' || culprit === null) {
    add('Grows too', report.growsToo);
    add('Not certain', report.uncertain);
    add('Ruled out', report.ruledOut);
  }
  const failed = Object.entries(load.failures).map(([name, count]) => `${count} ${name}`);
  lines.push(
    '',
    paint(
      'dim',
      `${formatNumber(load.requests, 0)} requests at ${formatNumber(load.ratePerSecond, 0)}/s ` +
        `(${load.uniqueUrls ? 'unique URLs' : 'as given'})` +
        `${verdict.slow.length === 0 ? '' : ', then one at a time'}, ` +
        `p99 ${formatNumber(load.p99Ms, 1)} ms, ` +
        `${formatSpan(report.elapsedMs / 1000)}, Node ${report.node}` +
        (failed.length === 0 ? '' : `; failed: ${failed.join(', ')}`),
    ),
  );
  return `${lines.join('\n')}\n`;
}

/** One suspect in a few lines; also used for `--diff`. */
export function renderSuspect(
  suspect: Suspect,
  rank: number,
  cwd: string,
  per: Rate['per'] = 'request',
): string[] {
  const amount =
    suspect.bytesPerRequest === null
      ? formatAmount(suspect.bytes, 'bytes')
      : `${formatAmount(suspect.bytesPerRequest, 'bytes')} per ${per}`;
  const lines = [`  ${rank}. ${formatHolder(suspect)}: ${amount}`];
  const kin = suspect.kin
    .slice(0, 4)
    .map(({ className, perRequest, count }) =>
      perRequest === null
        ? `${formatNumber(count, 0)} ${className}`
        : `${formatNumber(perRequest, 3)} ${className}`,
    );
  const each = suspect.bytesPerRequest === null ? '' : ` per ${per}`;
  if (kin.length > 0) lines.push(`     new${each}: ${kin.join(', ')}`);
  const [change] = suspect.changedAt;
  if (change !== undefined) lines.push(`     ${change.text}`);
  for (const place of suspect.places.slice(0, 2)) {
    lines.push(`     written at ${place.name} (${relative(cwd, place.file)}:${place.line})`);
  }
  if (suspect.explanation !== null) lines.push(`     ${suspect.explanation}`);
  if (suspect.path.length > 1) lines.push(`     path: ${suspect.path.join(' › ')}`);
  return lines;
}

// --- internal ---

const SHOWN = 3;

function renderCulprit(
  culprit: NonNullable<Report['culprit']>,
  verdict: Report['verdict'],
  paint: Style,
  cwd: string,
): string[] {
  const lines: string[] = [];
  const per = perOf(verdict);
  if (culprit.suspects.length > 0) lines.push(paint('bold', 'Held by'));
  for (const [at, suspect] of culprit.suspects.slice(0, SHOWN).entries()) {
    lines.push(...renderSuspect(suspect, at + 1, cwd, per));
  }
  if (culprit.allocations.length > 0) lines.push(paint('bold', 'Allocated at'));
  for (const site of culprit.allocations.slice(0, SHOWN)) {
    const bytes = formatAmount(site.bytesPerRequest, 'bytes');
    lines.push(
      `  ${site.name} (${relative(cwd, site.file)}:${site.line}): about ${bytes} per ${per}`,
    );
  }
  if (culprit.sites.length > 0) lines.push(paint('bold', 'Made and never ended'));
  for (const site of culprit.sites.slice(0, SHOWN)) {
    const { place } = site;
    const at = place === null ? '' : ` (${relative(cwd, place.file)}:${place.line})`;
    lines.push(`  ${formatNumber(site.perRequest, 3)} ${site.what} per ${per}${at}`);
  }
  for (const { what, count } of culprit.descriptors.slice(0, SHOWN)) {
    lines.push(`  ${formatNumber(count, 0)} more descriptors of ${what}`);
  }
  for (const note of culprit.notes) lines.push(paint('yellow', `  Note: ${note}`));
  return lines;
}
