/**
 * What an experiment says, as data: the one source of the text, the JSON and the HTML page. Pure.
 */
import { basename } from 'node:path';
import type { Culprit } from './culprit.ts';
import { describeFindings, describeLoads, describeVisible } from './report-findings.ts';
import type { Findings } from './report-findings.ts';
import { MADE_SHAPES } from './heap-explain.ts';
import type { Place } from './heap-path.ts';
import type { Outcome } from './experiment.ts';
import type { Suspect } from './heap-compare.ts';
import { SIGNAL_WORDS, unitOf } from './series.ts';
import type { Sample, Signal } from './series.ts';
import type { Rate, Verdict } from './verdict.ts';
import { formatAmount, formatNumber, formatSpan } from './words.ts';

export interface Report {
  /** Grows when a field changes its meaning or goes away. */
  readonly schema: 1;
  readonly app: string;
  readonly node: string;
  readonly command: string;
  readonly at: string;
  /** The verdict in one sentence. */
  readonly sentence: string;
  readonly verdict: Verdict;
  /** What the number means for a machine. */
  readonly advice: readonly string[];
  /** For each signal that is not the answer: what is known of it. */
  readonly growsToo: Findings['growsToo'];
  readonly uncertain: Findings['uncertain'];
  readonly ruledOut: Findings['ruledOut'];
  /** The growth under each kind of load; empty where there was one kind only. */
  readonly byLoad: readonly string[];
  readonly culprit: Omit<Culprit, 'profile'> | null;
  readonly death: Outcome['death'];
  /** Why the load was stopped before its time; null = it was not. */
  readonly stopped: Outcome['stopped'];
  readonly load: {
    /** Origin: `http://127.0.0.1:41234`. */
    readonly url: string;
    /** `GET /search?q={{n}}`, each kind of request once. */
    readonly requested: readonly string[];
    readonly connections: number;
    readonly requests: number;
    readonly ratePerSecond: number;
    readonly uniqueUrls: boolean;
    readonly failures: Outcome['failures'];
    readonly p50Ms: number;
    readonly p99Ms: number;
  };
  readonly elapsedMs: number;
  readonly samples: readonly Sample[];
}

export interface ReportOptions {
  readonly app: string;
  /** How to repeat it. */
  readonly command: string;
  readonly at: Date;
  /** Memory that one worker may have, for the arithmetic. */
  readonly limitBytes: number;
  /** Traffic that the advice assumes. */
  readonly trafficPerSecond: number;
}

export function buildReport(outcome: Outcome, options: ReportOptions): Report {
  const { verdict, culprit } = outcome;
  return {
    schema: 1,
    app: options.app,
    node: outcome.node,
    command: options.command,
    at: options.at.toISOString(),
    sentence: sentenceOf(verdict, culprit),
    verdict,
    advice: adviseOn(outcome, options),
    ...describeFindings(verdict),
    byLoad: describeLoads(verdict, outcome),
    culprit: culprit === null ? null : omitProfile(culprit),
    death: outcome.death,
    stopped: outcome.stopped,
    load: {
      url: outcome.url,
      requested: outcome.asked,
      connections: outcome.connections,
      requests: outcome.requests,
      ratePerSecond: outcome.ratePerSecond,
      uniqueUrls: outcome.unique,
      failures: outcome.failures,
      ...outcome.latency,
    },
    elapsedMs: outcome.elapsedMs,
    samples: outcome.samples,
  };
}

/** `1 006 B per request [1 003, 1 079]`. */
export function formatRate(rate: Rate, signal: Signal): string {
  const unit = unitOf(signal);
  const show = (value: number): string => formatAmount(value, unit);
  const what = unit === 'count' ? ` ${SIGNAL_WORDS[signal]}` : '';
  return `${show(rate.slope)}${what} per ${rate.per} [${show(rate.low)}, ${show(rate.high)}]`;
}

/** `sessions` (Map), changed at store.js:5; or by which function it is reached. */
export function formatHolder(suspect: Suspect): string {
  const kind =
    suspect.holderClass === suspect.name ? '' : ` (${wordForClass(suspect.holderClass)})`;
  const [change] = suspect.changedAt;
  const place = suspect.reachedFrom;
  const where =
    change !== undefined
      ? `, changed at ${basename(change.file)}:${change.line}`
      : place !== null
        ? `, reached from ${formatPlace(place)}`
        : '';
  return `\`${suspect.name}\`${kind}${where}`;
}

/** What the numbers of the search are per: the load of the search is that of the leak. */
export function perOf({ rate }: Verdict): Rate['per'] {
  return rate === null || rate.per === 'second' ? 'request' : rate.per;
}

/** `remember (store.js:5)`. */
export function formatPlace(place: Pick<Place, 'name' | 'file' | 'line'>): string {
  const at = `${basename(place.file)}:${place.line}`;
  return place.name.includes('anonymous') ? at : `${place.name} (${at})`;
}

/** `system / Context` is V8's word for the variables of a function. */
export function wordForClass(className: string): string {
  return className === 'system / Context' ? 'variable' : className;
}

// --- internal ---

function omitProfile(culprit: Culprit): Omit<Culprit, 'profile'> {
  const { suspects, allocations, sites, descriptors, notes } = culprit;
  return { suspects, allocations, sites, descriptors, notes };
}

function sentenceOf(verdict: Verdict, culprit: Culprit | null): string {
  const { kind, signal, rate } = verdict;
  if (kind === 'leak' && signal !== null && rate !== null) {
    const byte = unitOf(signal) === 'bytes' ? ` of ${SIGNAL_WORDS[signal]}` : '';
    const keyed = verdict.keyedByInput
      ? ' It grows with unique URLs only: a cache keyed by the request, without a limit.'
      : '';
    return `Leak${byte}: ${formatRate(rate, signal)}${blame(signal, culprit)}.${keyed}`;
  }
  if (kind === 'undecided') return `Undecided: ${openEnd(verdict)}.`;
  const visible = describeVisible(verdict);
  const seen = visible === null ? '' : `; a leak of ${visible} would have been seen`;
  const word = kind === 'no leak' ? 'No leak' : `No leak, but ${kind}`;
  return `${word}: ${verdict.because}${seen}.`;
}

function blame(signal: Signal, culprit: Culprit | null): string {
  if (culprit === null) return '';
  const [suspect] = culprit.suspects;
  const [site] = culprit.sites;
  if (site?.place != null) {
    const made = `made at ${formatPlace(site.place)}`;
    // A listener comes with a socket that Node opened later: it is no descriptor.
    const isCounted = signal === 'descriptors' || signal === 'handles';
    if (isCounted && !site.what.startsWith('listener')) return `: ${site.what}s, ${made}`;
    const isMade = suspect?.shape != null && MADE_SHAPES.has(suspect.shape);
    if (isMade) return `: ${suspect.explanation}, ${made}`;
  }
  if (suspect !== undefined) return `, held by ${formatHolder(suspect)}`;
  const [allocation] = culprit.allocations;
  return allocation === undefined ? '' : `, allocated in ${formatPlace(allocation)}`;
}

function openEnd(verdict: Verdict): string {
  const { signal, slowing, moreRequests, because, rate } = verdict;
  if (slowing !== null && signal !== null) {
    const show = (value: number): string => formatAmount(value, unitOf(signal));
    return (
      `${SIGNAL_WORDS[signal]} still filling: slope now ${show(slowing.now)} per request, ` +
      `was ${show(slowing.was)}`
    );
  }
  const so =
    signal !== null && rate !== null
      ? ` (${SIGNAL_WORDS[signal]}: ${formatRate(rate, signal)})`
      : '';
  const more =
    moreRequests === null ? '' : `; about ${formatNumber(moreRequests, 0)} more requests needed`;
  return `${because}${so}${more}`;
}

const DAY_SECONDS = 86_400;

function adviseOn(outcome: Outcome, options: ReportOptions): string[] {
  const { signal, rate, kind } = outcome.verdict;
  if (kind !== 'leak' || signal === null || rate === null) return [];
  const perSecond = rate.per === 'second' ? 1 : options.trafficPerSecond;
  const each = rate.per === 'connection' ? 'new connections' : 'requests';
  const when = rate.per === 'second' ? 'Idle or not' : `At ${formatNumber(perSecond, 0)} ${each}/s`;
  const daily = formatAmount(rate.slope * perSecond * DAY_SECONDS, unitOf(signal));
  const what = unitOf(signal) === 'count' ? ` ${SIGNAL_WORDS[signal]}` : '';
  const { room, limit } = roomOf(outcome, options, signal);
  const high = Math.max(rate.high, rate.slope);
  const lines = [
    `${when} that is ${daily}${what} a day; ` +
      `${limit} lasts ${formatSpan(room / (rate.slope * perSecond))}.`,
  ];
  const requests = Math.floor((room / high) * KEEP_SHARE);
  // A connection brings one request at least.
  if (rate.per !== 'second' && requests >= 1) {
    const round = roundDown(requests);
    lines.push(`Until it is mended, \`cofferdam serve --max-requests ${round}\` would hold.`);
  }
  return lines;
}

/** Leave a fifth of the room to garbage and to bursts. */
const KEEP_SHARE = 0.8;

/** Most systems start processes with this soft limit of descriptors. */
const DESCRIPTOR_LIMIT = 1024;

/** Other counted things cost memory: some kilobytes each, by experience. */
const PIECE_BYTES = 2048;

function roomOf(outcome: Outcome, options: ReportOptions, signal: Signal) {
  const begin = outcome.samples.find(({ phase }) => phase === 'load') ?? outcome.samples[0];
  if (signal === 'descriptors') {
    const used = outcome.samples[0]?.descriptors ?? 0;
    return {
      room: Math.max(1, DESCRIPTOR_LIMIT - used),
      limit: `the usual limit of ${DESCRIPTOR_LIMIT}`,
    };
  }
  const bytes = Math.max(0, options.limitBytes - (begin?.anonBytes ?? begin?.rssBytes ?? 0));
  const room = unitOf(signal) === 'count' ? bytes / PIECE_BYTES : bytes;
  return { room, limit: `a limit of ${formatNumber(options.limitBytes / 2 ** 20, 0)} MiB` };
}

function roundDown(value: number): number {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1);
  return Math.floor(value / step) * step;
}
