/** Events as sentences. */
import type { Told } from '../../control/types.ts';
import { formatBytes, formatCount, formatDuration } from './format.ts';
import { REASONS } from './reasons.ts';

export type Tone = 'good' | 'plain' | 'warn' | 'bad';

/** What a slot is called: `Slot 2`, `api/2`. */
export type NameOf = (slot: number) => string;

export interface Sentence {
  readonly tone: Tone;
  /** Two or three words that can be scanned. */
  readonly title: string;
  readonly text: string;
}

/** `pool`: whose event it is, where there are several. */
export function sentenceOf(told: Told, nameOf: NameOf, pool?: string): Sentence {
  switch (told.event) {
    case 'recycled':
      return recycled(told, nameOf);
    case 'recycle_started':
      return {
        tone: 'plain',
        title: `${nameOf(told.slot)} recycles`,
        text: list(
          `${REASONS[told.reason].text} (${told.reason})`,
          told.limit && `limit ${told.limit}`,
          formatBytes(told.memoryBytes),
          some(told.requests, 'request'),
          told.breakFirst && 'no room for a second one: the old one leaves first',
        ),
      };
    case 'worker_ready':
      return {
        tone: 'good',
        title: `${nameOf(told.slot)} ready`,
        text: list(
          `generation ${told.generation}`,
          `process ${told.pid}`,
          `booted in ${formatDuration(told.bootMs)}`,
        ),
      };
    case 'worker_crashed':
      return {
        tone: 'bad',
        title: `${nameOf(told.slot)} crashed`,
        text: list(
          told.detail,
          `${some(told.inFlight, 'request')} lost`,
          `after ${formatDuration(told.ageMs)} and ${some(told.requests, 'request')}`,
          told.retryInMs > 0 && `again in ${formatDuration(told.retryInMs)}`,
        ),
      };
    case 'boot_failed':
      return {
        tone: 'bad',
        title: `${nameOf(told.slot)} did not boot`,
        text: list(told.detail, `${told.failures} in a row`, again(told.retryInMs)),
      };
    case 'recycle_postponed':
      return {
        tone: 'warn',
        title: `${nameOf(told.slot)} waits`,
        text: list(REASONS[told.reason].text, told.detail, again(told.retryInMs)),
      };
    case 'all_ready':
      return {
        tone: 'good',
        title: pool === undefined ? 'All ready' : `${pool}: all ready`,
        text: `${some(told.workers, 'worker')} in ${formatDuration(told.tookMs)}`,
      };
    default:
      return { tone: TONES[told.event] ?? 'plain', ...inWords(told, nameOf, pool) };
  }
}

// --- internal ---

const TONES: Readonly<Record<string, Tone>> = {
  drain_deadline: 'warn',
  worker_killed: 'bad',
  unresponsive: 'bad',
  floor_above_limit: 'warn',
  suspended: 'warn',
  stopping: 'warn',
};

function recycled(told: Extract<Told, { event: 'recycled' }>, nameOf: NameOf): Sentence {
  const lost = told.cutRequests + told.cutLongLived;
  return {
    tone: lost > 0 || told.killed ? 'warn' : 'good',
    title: `${nameOf(told.slot)} recycled`,
    text: list(
      `${REASONS[told.reason].text} (${told.reason})`,
      `${formatBytes(told.memoryBytes)} after ${some(told.requests, 'request')}`,
      `replaced in ${formatDuration(told.replacedInMs)}`,
      `drained in ${formatDuration(told.drainMs)}`,
      told.moved > 0 && `${some(told.moved, 'connection')} moved`,
      lost > 0 ? `${lost} cut` : 'nothing lost',
      told.killed && 'killed',
    ),
  };
}

function some(count: number, what: string): string {
  return `${formatCount(count)} ${what}${count === 1 ? '' : 's'}`;
}

function again(ms: number): string {
  return `again in ${formatDuration(ms)}`;
}

/** Also for events that are younger than this page. */
function inWords(
  told: Told,
  nameOf: NameOf,
  pool: string | undefined,
): { readonly title: string; readonly text: string } {
  const { event, ...fields } = told;
  const words = (name: string): string =>
    name
      .replaceAll(/_|(?=[A-Z])/g, ' ')
      .toLowerCase()
      .trim();
  const whose = pool === undefined ? '' : `${pool}: `;
  const number = 'slot' in fields ? fields.slot : null;
  const slot = number === null ? whose : `${nameOf(number)}: `;
  const shown = Object.entries<unknown>(fields)
    .filter(([name]) => name !== 'slot')
    .map(([name, value]) => `${words(name.replace(/(?:Ms|Bytes)$/, ''))} ${unit(name, value)}`);
  const title = slot + words(event);
  const isNamed = pool !== undefined;
  return {
    title: isNamed ? title : title.charAt(0).toUpperCase() + title.slice(1),
    text: list(...shown),
  };
}

function unit(name: string, value: unknown): string {
  if (typeof value === 'number' && name.endsWith('Ms')) return formatDuration(value);
  if (typeof value === 'number' && name.endsWith('Bytes')) return formatBytes(value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function list(...parts: (string | false)[]): string {
  return parts.filter((part) => part !== false && part !== '').join(' · ');
}
