/** A real browser: Debian's Chromium, driven by playwright-core, with nothing to reach but this machine. */
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const program = PLACES.find((path) => existsSync(path));

/** Null where there is no Chromium; the reason is printed. */
export async function openBrowser(): Promise<Browser | null> {
  if (!program) {
    console.log(`skipped: no browser in ${PLACES.join(', ')} (Debian: apt-get install chromium)`);
    return null;
  }
  return chromium.launch({
    executablePath: program,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
