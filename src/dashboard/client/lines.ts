/** What a chart shows, as data: lines, limits and marks of one window of time. */
import type { Mark } from '../wire.ts';
import { slotIndex, slotName, slotTag } from './slot-name.ts';
import type { Store } from './store.ts';

export interface Line {
  readonly key: string;
  readonly label: string;
  readonly values: readonly (number | null)[];
  /** CSS colors, variables included. */
  readonly color: string;
  readonly fill?: string;
  readonly dash: readonly number[];
  readonly width: number;
  /** One or two characters at the end of the line. */
  readonly tag?: string;
  /** What the legend shows when it is not what is drawn (stacked lines). */
  readonly told?: readonly (number | null)[];
}

export interface Limit {
  readonly value: number;
  readonly label: string;
}

export interface ChartModel {
  readonly times: readonly number[];
  readonly from: number;
  readonly to: number;
  readonly lines: readonly Line[];
  readonly limits: readonly Limit[];
  readonly marks: readonly { readonly mark: Mark; readonly values: readonly (number | null)[] }[];
}

/** Index of the first point at or after `at`. */
export function indexFrom(times: readonly number[], at: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The last known value before `at`: the peak from which a line falls. */
export function valueBefore(
  times: readonly number[],
  values: readonly (number | null)[],
  at: number,
): number | null {
  for (let index = indexFrom(times, at) - 1, tries = 0; index >= 0 && tries < 5; tries += 1) {
    const value = values[index];
    if (value !== null && value !== undefined) return value;
    index -= 1;
  }
  return null;
}

/** Style of a slot: color and dash repeat with different periods, so 24 slots are all different. */
export function styleOf(slot: number): {
  readonly color: string;
  readonly dash: readonly number[];
} {
  const index = slotIndex(slot);
  return {
    color: `var(--slot-${(index % COLORS) + 1})`,
    dash: DASHES[index % DASHES.length] ?? [],
  };
}

/** The memory lines of these slots. */
export function memoryLines(store: Store, slots: readonly number[], bold: boolean): Line[] {
  return slots.map((slot) => ({
    key: `slot ${slot}`,
    label: slotName(slot, store.status),
    tag: slotTag(slot),
    values: store.slots.get(slot)?.memoryBytes ?? [],
    ...styleOf(slot),
    width: bold ? 2.5 : 1.75,
  }));
}

/** Tree and, below it, supervisor and workers one on top of the other; drawn from the top down. */
export function stackedLines(store: Store, slots: readonly number[]): Line[] {
  let below: readonly (number | null)[] = store.pool.supervisorBytes;
  const layers: Line[] = [
    {
      key: 'supervisor',
      label: 'Supervisor',
      values: below,
      color: 'var(--muted)',
      fill: 'color-mix(in srgb, var(--muted) 35%, var(--panel))',
      dash: [],
      width: 1,
    },
  ];
  for (const slot of slots) {
    const own = store.slots.get(slot)?.memoryBytes ?? [];
    const { color } = styleOf(slot);
    below = below.map((bytes, at) => (bytes === null ? null : bytes + (own[at] ?? 0)));
    layers.push({
      key: `slot ${slot}`,
      label: slotName(slot, store.status),
      values: below,
      told: own,
      color,
      fill: `color-mix(in srgb, ${color} 30%, var(--panel))`,
      dash: [],
      width: 1,
    });
  }
  layers.push({
    key: 'tree',
    label: 'Whole tree',
    values: store.pool.treeBytes,
    color: 'var(--ink)',
    fill: 'color-mix(in srgb, var(--ink) 8%, var(--panel))',
    dash: [],
    width: 2,
  });
  return layers.toReversed();
}

// --- internal ---

const COLORS = 8;
const DASHES: readonly (readonly number[])[] = [[], [9, 4], [2, 3]];
