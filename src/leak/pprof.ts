/** Writes a sampling heap profile as pprof, for `go tool pprof` and speedscope. */
import { writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { Profile, StringTable } from 'pprof-format';
import { plainPath } from './app-frames.ts';
import type { ProfileNode } from './probe-messages.ts';

/** Live bytes by stack; `intervalBytes` is the mean distance of two samples. */
export async function writePprof(
  path: string,
  head: ProfileNode,
  intervalBytes: number,
): Promise<void> {
  await writeFile(path, gzipSync(buildProfile(head, intervalBytes).encode()));
}

export function buildProfile(head: ProfileNode, intervalBytes: number): Profile {
  const strings = new StringTable();
  const unit = { type: strings.dedup('inuse_space'), unit: strings.dedup('bytes') };
  const functions = new Map<string, { id: number; name: number; filename: number }>();
  const locations: { id: number; line: { functionId: number; line: number }[] }[] = [];
  const sample: { locationId: number[]; value: number[] }[] = [];
  const pending: { node: ProfileNode; stack: readonly number[] }[] = [{ node: head, stack: [] }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { node, stack } = next;
    const { functionName, url, lineNumber } = node.callFrame;
    const key = `${functionName}\n${url}`;
    const known = functions.get(key) ?? {
      id: functions.size + 1,
      name: strings.dedup(functionName || '(anonymous)'),
      filename: strings.dedup(plainPath(url)),
    };
    functions.set(key, known);
    const id = locations.length + 1;
    locations.push({ id, line: [{ functionId: known.id, line: Math.max(0, lineNumber + 1) }] });
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
