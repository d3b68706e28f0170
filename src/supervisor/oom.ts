/**
 * Whether the kernel's OOM killer struck in our control group: attributes a SIGKILL to its cause.
 */
import { findMemoryCgroup, readCgroupEvents } from '../metrics/cgroup.ts';

/** Returns a function that says whether it struck since the last call. */
export function watchOomKills(): () => boolean {
  const cgroup = findMemoryCgroup();
  const count = (): number => (cgroup === null ? 0 : (readCgroupEvents(cgroup)?.oomKills ?? 0));
  let last = count();
  return () => {
    const before = last;
    last = count();
    return last > before;
  };
}
