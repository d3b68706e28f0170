/** The headless Chromium of Debian, for the tests of the page and its screenshots. */
import { chromium } from 'playwright-core';

/** Without the flags Chromium phones home at every start. */
export function openBrowser() {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
