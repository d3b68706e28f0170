import type { Browser } from 'playwright-core';

/** Where it is, or undefined when it is not installed. */
export const browserPath: string | undefined;

/** Without the flags Chromium phones home at every start. */
export function openBrowser(): Promise<Browser>;
