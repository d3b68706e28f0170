/** The page for those without scripts: what is known now, as a plain table. */
import type { WorkerStatus } from '../control/status.ts';
import { slotName } from './client/slot-name.ts';
import type { PageStatus } from './wire.ts';

/** HTML, with every text escaped. */
export function statusTable(status: PageStatus): string {
  const { name, state, budget, treeBytes, workers, crashes, bootFailures } = status;
  const recycles = Object.values(status.recycles).reduce((sum, count) => sum + count, 0);
  const summary =
    `${name}: ${state}; ${mebibytes(treeBytes)} of ${mebibytes(budget.bytes)} MiB; ` +
    `${recycles} recycles, ${crashes} crashes, ${bootFailures} boot failures`;
  return (
    `<table><caption>${escape(summary)}</caption>` +
    `<thead>${row(
      'th',
      COLUMNS.map(([title]) => title),
    )}</thead>` +
    `<tbody>${workers
      .map((worker) =>
        row(
          'td',
          COLUMNS.map(([, cell]) => cell(worker, status)),
        ),
      )
      .join('')}` +
    '</tbody></table>'
  );
}

// --- internal ---

const COLUMNS: readonly (readonly [
  string,
  (worker: WorkerStatus, status: PageStatus) => string,
])[] = [
  ['Slot', ({ slot }, status) => slotName(slot, status)],
  ['Generation', ({ generation }) => String(generation)],
  ['State', ({ state }) => state],
  ['Process', ({ pid }) => String(pid ?? '–')],
  ['Age, s', ({ ageMs }) => String(Math.round(ageMs / 1000))],
  ['Requests', ({ requests }) => String(requests)],
  ['In flight', ({ inFlight }) => String(inFlight)],
  ['Memory, MiB', ({ memoryBytes }) => mebibytes(memoryBytes)],
  ['Limit, MiB', ({ limitBytes }) => (limitBytes === 0 ? 'none' : mebibytes(limitBytes))],
];

function row(tag: 'th' | 'td', cells: readonly string[]): string {
  return `<tr>${cells.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join('')}</tr>`;
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
