/** Types of mediawiki.mjs, for tests. */
export const MEDIAWIKI: string;
export const ADMIN: { readonly name: string; readonly password: string };
export function hasMediaWiki(): boolean;
export function installMediaWiki(
  folder: string,
  settings?: string,
): Promise<{ readonly MW_CONFIG_FILE: string }>;
