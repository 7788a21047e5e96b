// SPDX-License-Identifier: MIT
// What a page of the gateway does in a real browser. node scenarios.mjs NAME URL [SCREENSHOT]:
// exits 0 when it held, and prints what it saw as JSON.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const arguments_ = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

const scenarios = {
  // What the API is for, from a script in a page, without a word about content types.
  async fetches(page, url) {
    await page.goto(`${url}/profiles`);
    return page.evaluate(async () => {
      const json = async (path, options) => {
        const response = await fetch(path, options);
        return { status: response.status, body: await response.json() };
      };
      return {
        metrics: await json('/api/profiles/metrics'),
        best: await json('/api/profiles/best-for-task', {
          method: 'POST', body: JSON.stringify({ task: { type: 'coding', title: 'Fix it' } }),
        }),
        status: await json('/api/profiles/development/status', {
          method: 'PUT', body: JSON.stringify({ isActive: false }),
        }),
      };
    });
  },

  // The page itself: it shows the profiles, switches one and hands it a task.
  async page(page, url, screenshot) {
    await page.goto(`${url}/`);
    assert.equal(new URL(page.url()).pathname, '/profiles');
    await page.getByRole('row', { name: /development/ }).waitFor();
    assert.equal(await page.getByRole('switch').count(), 3);

    const toggle = page.getByRole('switch', { name: 'refinement is active' });
    await toggle.click();
    await page.getByRole('switch', { name: 'refinement is active', checked: false }).waitFor();
    await page.getByRole('row', { name: /refinement.*Paused/ }).waitFor();

    await page.getByLabel('Title').fill('From the <b>page</b>');
    await page.getByLabel('Profile').selectOption('refinement');
    await page.getByRole('button', { name: 'Assign' }).click();
    await page.getByText(/Task \d+ went to refinement/).waitFor();
    await page.getByRole('row', { name: /refinement.*Paused\s*0 \/ 1\s*1/ }).waitFor();
    if (screenshot) await page.screenshot({ path: screenshot });
    return {};
  },

  // A script of another origin can neither read nor change anything.
  async strangers(page, url, other) {
    await page.goto(other);
    return page.evaluate(async (target) => {
      const attempt = (options) => fetch(`${target}/api/tasks`, options)
        .then((response) => response.status, () => 'blocked');
      return {
        json: await attempt({ method: 'POST', body: '{"task":{"title":"x"}}',
          headers: { 'Content-Type': 'application/json' } }),
        simple: await attempt({ method: 'POST', mode: 'no-cors', body: '{"task":{"title":"x"}}' }),
      };
    }, url);
  },
};

const [name, url, extra] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: arguments_ });
try {
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
  const complaints = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  const seen = await scenarios[name](page, url, extra);
  if (name !== 'strangers') assert.deepEqual(complaints, []);
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
