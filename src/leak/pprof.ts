/** Writes a sampling heap profile as pprof, for `go tool pprof` and speedscope. */
import { writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { Profile, StringTable } from 'pprof-format';
import { isAppScript, plainPath } from './app-frames.ts';
import type { ProfileNode } from './probe-messages.ts';
import { mapToSource } from './source-map.ts';
import type { SourcePosition } from './source-map.ts';

/** Live bytes by stack, with the lines of the sources; `intervalBytes` is between two samples. */
export async function writePprof(
  path: string,
  head: ProfileNode,
  intervalBytes: number,
): Promise<void> {
  const places = await mapPlaces(head);
  await writeFile(path, gzipSync(buildProfile(head, intervalBytes, places).encode()));
}

// --- internal ---

type Frame = ProfileNode['callFrame'];

const keyOf = ({ url, lineNumber, columnNumber }: Frame): string =>
  `${url}:${lineNumber}:${columnNumber}`;

/** The position of each frame in its source. */
async function mapPlaces(head: ProfileNode): Promise<Map<string, SourcePosition>> {
  const places = new Map<string, SourcePosition>();
  const pending = [head];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    pending.push(...node.children);
    const { url, lineNumber, columnNumber } = node.callFrame;
    const key = keyOf(node.callFrame);
    if (places.has(key)) continue;
    // V8 counts from 0, and says -1 where there is no line.
    const line = Math.max(0, lineNumber + 1);
    const file = plainPath(url);
    const isMapped = line > 0 && isAppScript(url);
    places.set(key, isMapped ? await mapToSource(file, line, columnNumber + 1) : { file, line });
  }
  return places;
}

function buildProfile(
  head: ProfileNode,
  intervalBytes: number,
  places: ReadonlyMap<string, SourcePosition>,
): Profile {
  const strings = new StringTable();
  const unit = { type: strings.dedup('inuse_space'), unit: strings.dedup('bytes') };
  const functions = new Map<string, { id: number; name: number; filename: number }>();
  const locations: { id: number; line: { functionId: number; line: number }[] }[] = [];
  const sample: { locationId: number[]; value: number[] }[] = [];
  const pending: { node: ProfileNode; stack: readonly number[] }[] = [{ node: head, stack: [] }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { node, stack } = next;
    const { functionName } = node.callFrame;
    const { file, line } = places.get(keyOf(node.callFrame)) ?? { file: '', line: 0 };
    const key = `${functionName}\n${file}`;
    const known = functions.get(key) ?? {
      id: functions.size + 1,
      name: strings.dedup(functionName || '(anonymous)'),
      filename: strings.dedup(file),
    };
    functions.set(key, known);
    const id = locations.length + 1;
    locations.push({ id, line: [{ functionId: known.id, line }] });
    // pprof wants the leaf first.
    const here = [id, ...stack];
    if (node.selfSize > 0) sample.push({ locationId: here, value: [node.selfSize] });
    for (const child of node.children) pending.push({ node: child, stack: here });
  }
  return new Profile({
    sampleType: [unit],
    sample,
    location: locations,
    function: [...functions.values()],
    stringTable: strings,
    periodType: unit,
    period: intervalBytes,
    timeNanos: BigInt(Date.now()) * 1_000_000n,
  });
}
