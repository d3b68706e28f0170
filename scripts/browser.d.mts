import type { Browser } from 'playwright-core';

/** Without the flags Chromium phones home at every start. */
export function openBrowser(): Promise<Browser>;
