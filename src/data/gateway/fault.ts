/**
 * One request's fault ends one request: what throws on its way is caught where it belongs to a
 * request that is known, so that the process which carries everybody's goes on.
 */

/** Wraps a listener: what it throws goes to `onFault`, and no further. */
export function contain<Args extends readonly unknown[]>(
  onFault: (error: unknown) => void,
  work: (...args: Args) => void,
): (...args: Args) => void {
  return (...args) => {
    try {
      work(...args);
    } catch (error) {
      onFault(error);
    }
  };
}

/** For a log line or the detail of a failure. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
