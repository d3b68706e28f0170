/** Tells code of the app from Node's, from that of packages and from what we load into the app. */
import { fileURLToPath } from 'node:url';

/** Node's own JavaScript, and our agent and probe: they hold nothing that a user could mend. */
export function isInternalScript(name: string): boolean {
  const path = plainPath(name);
  return path.startsWith('node:') || OWN_FILES.some((own) => path.startsWith(own));
}

/** Written by whoever asks: neither internal nor a package. */
export function isAppScript(name: string): boolean {
  return name !== '' && !isInternalScript(name) && !name.includes('/node_modules/');
}

/** Scripts are named by path or by URL, as they were loaded. */
export function plainPath(name: string): string {
  if (!name.startsWith('file://')) return name;
  try {
    return fileURLToPath(name);
  } catch {
    // An odd URL, such as one with a host: shown as it is.
    return name;
  }
}

// --- internal ---

const OWN_FILES = ['../data/agent/', './probe.c', './probe-sites.c'].map((relative) =>
  fileURLToPath(new URL(relative, import.meta.url)),
);
