/**
 * The report as one self-contained page: no script, no request to anywhere, light and dark,
 * printable.
 */
import { drawCurve } from './curve.ts';
import { escapeHtml } from './html.ts';
import type { LookClass } from './look.ts';
import { formatHolder, perOf, wordForClass } from './report.ts';
import type { Report } from './report.ts';
import type { Suspect } from './heap-compare.ts';
import { SIGNAL_WORDS, unitOf } from './series.ts';
import { formatAmount, formatNumber, formatSpan } from './words.ts';

export function renderHtml(report: Report): string {
  const { verdict } = report;
  const tone = verdict.kind === 'leak' ? 'bad' : verdict.kind === 'undecided' ? 'open' : 'good';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(verdict.kind)}: ${escapeHtml(report.app)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<p class="app">${escapeHtml(report.app)}</p>
<h1 class="${tone}">${code(report.sentence)}</h1>
${report.advice.map((line) => `<p>${code(line)}</p>`).join('\n')}
${deathNote(report)}
</header>
<main>
<section>
<h2>The curve</h2>
${drawCurve(report.samples, verdict)}
</section>
${culpritSection(report)}
${section('How it grows under each kind of load', report.byLoad)}
${section('What grows too', report.growsToo)}
${section('What is not certain', report.uncertain)}
${section('What was ruled out', report.ruledOut)}
<section>
<h2>How it was measured</h2>
${factTable(report)}
<p>To repeat it:</p>
<pre>${escapeHtml(report.command)}</pre>
${sampleTable(report)}
</section>
</main>
<footer><p>cofferdam leak, ${escapeHtml(report.at)}</p></footer>
</body>
</html>
`;
}

// --- internal ---

const STYLE = `
:root{color-scheme:light dark;--ink:#1c2430;--dim:#5d6b7c;--line:#d6dde6;--bg:#fff;--soft:#f3f6f9;
--bad:#b3261e;--good:#1b6e3c;--open:#8a5a00;--curve:#2563a8;--top:#c9d6e6}
@media(prefers-color-scheme:dark){:root{--ink:#e4e9f0;--dim:#9aa8b8;--line:#334050;--bg:#12181f;
--soft:#1b232d;--bad:#ff8a80;--good:#7ddc9f;--open:#f0c36a;--curve:#7db4f0;--top:#34465a}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2rem 1rem;max-width:60rem;color:var(--ink);background:var(--bg);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.45rem;line-height:1.3;margin:.2rem 0 1rem;border-left:.35rem solid;
padding-left:.8rem}
h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
h3{font-size:1rem;margin:1.2rem 0 .4rem;color:var(--dim)}
.bad{border-color:var(--bad)}.good{border-color:var(--good)}.open{border-color:var(--open)}
.app,footer,.dim{color:var(--dim);margin:0}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}
code{background:var(--soft);padding:.05em .3em;border-radius:.25em}
pre{background:var(--soft);padding:.7rem;overflow-x:auto;white-space:pre-wrap;margin:.5rem 0}
table{border-collapse:collapse;width:100%;font-size:.9rem;overflow-wrap:normal}
th,td{text-align:right;padding:.25rem .5rem;border-bottom:1px solid var(--line)}
td{white-space:nowrap}li td:first-child{white-space:normal;overflow-wrap:anywhere}
th:first-child,td:first-child,.facts td{text-align:left}
.facts td{white-space:normal}.facts td:first-child{color:var(--dim);width:16rem}
.scroll{overflow-x:auto}.scroll svg{min-width:36rem}
@media(max-width:40rem){.facts td:first-child{width:9rem}h1{font-size:1.2rem}}
ol,ul{padding-left:1.3rem}li{margin:.4rem 0;overflow-wrap:anywhere}
.path{color:var(--dim);font-size:.9rem;overflow-wrap:anywhere}
svg{display:block;width:100%;height:auto}svg text{fill:var(--dim);font:12px system-ui,sans-serif}
details{margin:.8rem 0}
@media print{body{max-width:none;padding:0}details{display:block}h2{break-after:avoid}}
`;

/** Escapes, and sets what stands between back-ticks as code. */
function code(text: string): string {
  return escapeHtml(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>');
}

/** A list with its heading; nothing where there is nothing to list. */
function section(title: string, lines: readonly string[]): string {
  if (lines.length === 0) return '';
  const items = lines.map((line) => `<li>${code(line)}</li>`).join('');
  return `<section>\n<h2>${title}</h2>\n<ul>${items}</ul>\n</section>`;
}

function deathNote({ death, stopped }: Report): string {
  if (stopped !== null) return `<p>The load was stopped early: ${escapeHtml(stopped)}.</p>`;
  if (death === null) return '';
  const how = death.signal ?? `exit code ${death.code}`;
  const words = escapeHtml(death.lastWords);
  return `<p>The app died (${escapeHtml(how)}). It said last:</p><pre>${words}</pre>`;
}

function culpritSection({ culprit, verdict }: Report): string {
  if (culprit === null) return '';
  const per = perOf(verdict);
  const allocations = culprit.allocations.map(
    (site) =>
      `<li>${code(`\`${site.name}\` ${site.file}:${site.line}`)}: about ` +
      `${formatAmount(site.bytesPerRequest, 'bytes')} per ${per}</li>`,
  );
  const sites = culprit.sites.map(
    (site) =>
      `<li><b>${formatNumber(site.perRequest, 3)}</b> ${escapeHtml(site.what)} per ${per}, made` +
      `<pre>${escapeHtml(site.stack)}</pre></li>`,
  );
  const descriptors = culprit.descriptors.map(
    ({ what, count }) =>
      `<li>${formatNumber(count, 0)} more of <code>${escapeHtml(what)}</code></li>`,
  );
  return `<section>
<h2>The suspects</h2>
${list(
  'ol',
  culprit.suspects.map((suspect) => suspectItem(suspect, per)),
  'Who holds what is new',
)}
${list('ul', allocations, 'Who allocated what is still alive')}
${list('ul', sites, 'Made and never ended')}
${list('ul', descriptors, 'Descriptors that stayed open')}
${culprit.notes.map((note) => `<p class="dim">${escapeHtml(note)}</p>`).join('')}
</section>`;
}

function list(tag: 'ol' | 'ul', items: readonly string[], title: string): string {
  return items.length === 0 ? '' : `<h3>${title}</h3><${tag}>${items.join('\n')}</${tag}>`;
}

function suspectItem(suspect: Suspect, per: string): string {
  const each = suspect.bytesPerRequest;
  const amount =
    each === null
      ? formatAmount(suspect.bytes, 'bytes')
      : `${formatAmount(each, 'bytes')} per ${per}`;
  const rows = suspect.kin.map(
    ({ className, count, bytes, perRequest }) =>
      `<tr><td><code>${escapeHtml(wordForClass(className))}</code></td><td>${
        perRequest === null ? '' : formatNumber(perRequest, 3)
      }</td><td>${formatNumber(count, 0)}</td><td>${formatAmount(bytes, 'bytes')}</td></tr>`,
  );
  const places = suspect.places.map(
    ({ name, file, line }) =>
      `<br>written at <code>${escapeHtml(`${name} ${file}:${line}`)}</code>`,
  );
  const changes = suspect.changedAt.map(
    ({ file, line, text }) =>
      `<br>changed at <code>${escapeHtml(`${file}:${line}`)}</code><pre>${escapeHtml(text)}</pre>`,
  );
  return `<li>${code(formatHolder(suspect))}: <b>${amount}</b>
${suspect.explanation === null ? '' : `<br>${code(suspect.explanation)}`}${changes.join('')}
${places.join('')}
<p class="path">${suspect.path.map(escapeHtml).join(' › ')}</p>
<details open><summary>New objects</summary>
<div class="scroll"><table><tr><th>class</th><th>per ${per}</th><th>count</th><th>bytes</th></tr>
${rows.join('\n')}</table></div>
</details></li>`;
}

function factTable({ load, node, elapsedMs, verdict }: Report): string {
  const rows: [string, string][] = [
    ['Node', node],
    ['Server', load.url],
    ['Asked for', listed(load.requested)],
    ['Requests', formatNumber(load.requests, 0)],
    ['Arrivals', arrivalsOf(load, verdict)],
    ['URLs', load.uniqueUrls ? 'unique' : 'as given'],
    [
      'Latency from the intended start',
      `p50 ${formatNumber(load.p50Ms, 1)} ms, p99 ${formatNumber(load.p99Ms, 1)} ms`,
    ],
    [
      'Failures',
      Object.entries(load.failures)
        .map(([name, n]) => `${n} ${name}`)
        .join(', ') || 'none',
    ],
    ['Took', formatSpan(elapsedMs / 1000)],
    ['Growth under load', looksOf(verdict)],
  ];
  const cells = rows.map(
    ([name, value]) => `<tr><td>${name}</td><td>${escapeHtml(value)}</td></tr>`,
  );
  return `<table class="facts">${cells.join('')}</table>`;
}

function looksOf(verdict: Report['verdict']): string {
  const finding =
    verdict.findings.find(({ signal }) => signal === verdict.signal) ?? verdict.findings[0];
  if (finding === undefined) return 'none';
  const unit = unitOf(finding.signal);
  const looks = finding.looks.map(
    (look) =>
      `${LOOK_WORDS[look.class]} over ${look.points} checkpoints ` +
      `(${formatAmount(look.line.slope, unit)} per request)`,
  );
  return `${SIGNAL_WORDS[finding.signal]}: ${looks.join('; ')}`;
}

const LOOK_WORDS: Readonly<Record<LookClass, string>> = {
  flat: 'does not grow',
  unsure: 'may grow',
  linear: 'grows steadily',
  settled: 'grew, then stopped',
  slowing: 'grows slower and slower',
};

/** So many kinds of requests say what was asked for; a recording has hundreds. */
const REQUESTED_SHOWN = 5;

function listed(requested: readonly string[]): string {
  const more = requested.length - REQUESTED_SHOWN;
  const shown = requested.slice(0, REQUESTED_SHOWN).join(', ');
  return more > 0 ? `${shown} and ${more} more` : shown;
}

function arrivalsOf(load: Report['load'], verdict: Report['verdict']): string {
  const rate = formatNumber(load.ratePerSecond, 0);
  const steady = `${rate} per second by the clock, on up to ${load.connections} connections`;
  return verdict.slow.length === 0 ? steady : `${steady}; then one at a time`;
}

function sampleTable({ samples }: Report): string {
  const rows = samples.map((sample) => {
    const mega = (bytes: number | null): string =>
      bytes === null ? '' : formatNumber(bytes / 1e6, 2);
    const cells = [
      sample.phase,
      formatNumber(sample.requests, 0),
      mega(sample.heapBytes),
      mega(sample.heapTotalBytes),
      mega(sample.externalBytes),
      mega(sample.nativeInUseBytes),
      mega(sample.rssBytes),
      mega(sample.anonBytes),
      mega(sample.pssBytes),
      sample.descriptors === null ? '' : formatNumber(sample.descriptors, 0),
    ];
    return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  const heads = [
    'phase',
    'requests',
    'floor',
    'heap total',
    'external',
    'native',
    'RSS',
    'anon',
    'PSS',
    'fds',
  ];
  return `<details><summary>All ${samples.length} checkpoints (MB)</summary>
<div class="scroll"><table><tr>${heads.map((head) => `<th>${head}</th>`).join('')}</tr>
${rows.join('\n')}</table></div></details>`;
}
