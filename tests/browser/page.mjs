// SPDX-License-Identifier: MIT
// A page in Debian's Chromium, for scenarios and screenshots.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { isDeepStrictEqual } from 'node:util';
import axe from 'axe-core';
import { chromium } from 'playwright-core';

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export const wide = { width: 1440, height: 900 };
export const narrow = { width: 390, height: 844 };

/** Opens a page, calls back with it, and closes the browser. Whatever the page complains of on its
 *  console (violations of the Content-Security-Policy included) is collected. */
export async function withPage(options, use) {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: flags });
  try {
    const context = await browser.newContext({
      viewport: wide, locale: 'en-GB', timezoneId: 'Europe/Berlin', reducedMotion: 'reduce',
      acceptDownloads: true, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    const complaints = [];
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    return await use(page, complaints);
  } finally {
    await browser.close();
  }
}

/** Asks until the answer is the expected one: what a page shows follows an event a little later. */
export async function eventually(ask, expected) {
  const end = Date.now() + 60_000;
  for (;;) {
    const answer = await ask();
    if (isDeepStrictEqual(answer, expected)) return;
    if (Date.now() > end) assert.deepEqual(answer, expected);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The keyboard's focus comes to this element. */
export const isFocused = (locator) =>
  eventually(() => locator.evaluate((element) => element === document.activeElement), true);

/** axe finds nothing to complain of on what is shown now. */
export async function assertAccessible(page, where) {
  await page.evaluate(axe.source); // not as a script of the page: its policy would refuse that
  const { violations } = await page.evaluate(() => window.axe.run());
  const found = violations.map((v) => `${v.id}: ${v.help}\n${v.nodes.map((n) => `  ${n.html}\n  ${n.failureSummary}`).join('\n')}`);
  assert.deepEqual(found, [], `${where} is accessible`);
}

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Lets the test do something outside of the page, and waits until it is done. */
export async function outside(action) {
  console.log(JSON.stringify({ action }));
  const { value, done } = await answers.next();
  assert.ok(!done, `the test does ${action}`);
  return JSON.parse(value);
}
