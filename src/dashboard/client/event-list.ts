/** The event log: newest first, each event a sentence with its time. */
import type { PageEvent, PageStatus } from '../wire.ts';
import { make } from './dom.ts';
import { formatTime } from './format.ts';
import { sentenceOf, type Tone } from './sentences.ts';
import { slotName } from './slot-name.ts';
import type { View } from './tiles.ts';

export function createEventList(list: HTMLElement): View {
  let shown: readonly PageEvent[] = [];
  return {
    update({ events, status }) {
      if (events === shown) return;
      const known = new Set(shown);
      const fresh = events.filter((event) => !known.has(event));
      const isContinued = fresh.length < events.length;
      shown = events;
      const items = fresh.toReversed().map((event) => itemOf(event, status));
      if (isContinued) list.prepend(...items);
      else list.replaceChildren(...items);
      while (list.childElementCount > events.length) list.lastElementChild?.remove();
    },
  };
}

// --- internal ---

const SIGNS: Readonly<Record<Tone, string>> = { good: '✓', plain: '·', warn: '▲', bad: '✕' };

function itemOf({ at, told, pool }: PageEvent, status: PageStatus | null): HTMLElement {
  const { tone, title, text } = sentenceOf(told, (slot) => slotName(slot, status), pool);
  return make(
    'li',
    { 'data-tone': tone, 'data-event': told.event },
    make('time', { datetime: new Date(at).toISOString() }, formatTime(at)),
    make('span', { class: 'tone', 'aria-hidden': 'true' }, SIGNS[tone]),
    make('b', {}, title),
    make('span', { class: 'text' }, text),
  );
}
