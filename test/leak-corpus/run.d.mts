/** Types of the corpus runner, for the tests that use a part of it. */
interface Entry {
  readonly app: string;
}

export const CORPUS: { readonly leaks: readonly Entry[]; readonly calm: readonly Entry[] };

export interface Result {
  readonly kind: string;
  readonly right: boolean | null;
  readonly rank: number | null;
  readonly covered: boolean | null;
  readonly sentence: string;
}

export function runApp(
  entry: Entry & { readonly leaks: boolean },
  options: { readonly node: string; readonly flags: readonly string[] },
): Promise<Result>;
