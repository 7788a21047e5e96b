// SPDX-License-Identifier: MIT
// node shots.mjs URL FOLDER SET: screenshots of the page; see shots.py.
import { narrow, wide, withPage } from './page.mjs';

const [url, folder, set] = process.argv.slice(2);
const { TASK: task, FAILED: failed } = process.env;

const live = (page) => page.getByRole('status').filter({ hasText: 'Live' }).waitFor();

async function settled(page) {
  await page.waitForFunction(() => !document.querySelector('.skeleton') && document.fonts.status === 'loaded');
  await page.waitForTimeout(400); // a chart draws itself a frame later
}

async function shoot(page, name, path, { scheme = 'light', size = wide, act, full = false } = {}) {
  await page.setViewportSize(size);
  await page.emulateMedia({ colorScheme: scheme });
  await page.goto(url + path);
  if (set !== 'away') await live(page);
  await settled(page);
  await act?.(page);
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: full });
}

const assignDialog = async (page) => {
  await page.keyboard.press('a');
  await page.getByLabel('Title').fill('Write the test for the bounded reader');
  await page.getByLabel('Type').fill('testing');
  await page.getByText(/Best match: /).waitFor();
};

const sets = {
  async busy(page) {
    for (const scheme of ['light', 'dark']) {
      await shoot(page, `profiles-${scheme}`, '/profiles', { scheme });
      await shoot(page, `panel-${scheme}`, '/profiles?profile=development', { scheme, full: true });
      await shoot(page, `analytics-${scheme}`, '/profile-analytics', { scheme, full: true });
      await shoot(page, `assign-${scheme}`, '/profiles', { scheme, act: assignDialog });
      await shoot(page, `task-${scheme}`, `/tasks/${task}`, { scheme });
    }
    await shoot(page, 'analytics-1h', '/profile-analytics?range=1h', { full: true, act: async () => {
      await page.getByRole('figure', { name: /Finished tasks/ }).hover();
    } });
    await shoot(page, 'analytics-7d-dark', '/profile-analytics?range=7d', { scheme: 'dark', full: true });
    await shoot(page, 'tasks', '/tasks');
    await shoot(page, 'task-failed', `/tasks/${failed}`);
    await shoot(page, 'switched', '/profiles', { act: async () => {
      await page.getByRole('switch', { name: /Test Engineer/ }).click();
      await page.getByText('Test Engineer is disabled').waitFor();
    } });
    await page.getByRole('button', { name: 'Undo' }).click();
    await shoot(page, 'help', '/profiles', { act: () => page.keyboard.press('?') });
    await shoot(page, 'no-match', '/profiles', { act: () => page.getByLabel('Filter profiles').fill('nothing') });
    for (const scheme of ['light', 'dark']) {
      await shoot(page, `narrow-profiles-${scheme}`, '/profiles', { scheme, size: narrow, full: true });
      await shoot(page, `narrow-analytics-${scheme}`, '/profile-analytics', { scheme, size: narrow, full: true });
    }
    await shoot(page, 'narrow-panel', '/profiles?profile=review', { size: narrow, full: true });
    await shoot(page, 'narrow-tasks', '/tasks', { size: narrow });
    await shoot(page, 'narrow-task', `/tasks/${task}`, { size: narrow, full: true });
    await shoot(page, 'narrow-assign', '/profiles', { size: narrow, act: assignDialog });
    await shoot(page, 'laptop-panel', '/profiles?profile=review', { size: { width: 1280, height: 800 } });
    await shoot(page, 'middle-profiles', '/profiles?profile=review', { size: { width: 1000, height: 900 } });
  },
  // Two nodes that run, one that is retiring, and one that is silent.
  async fleet(page) {
    const phone = { width: 360, height: 780 };
    for (const scheme of ['light', 'dark']) {
      await shoot(page, `fleet-${scheme}`, '/profiles', { scheme });
      await shoot(page, `fleet-differs-${scheme}`, '/profiles', { scheme,
        act: () => page.getByRole('listitem').filter({ hasText: 'build-2' }).getByText('configured differently').click() });
      await shoot(page, `narrow-fleet-${scheme}`, '/profiles', { scheme, size: phone, full: true });
      await shoot(page, `fleet-task-${scheme}`, `/tasks/${task}`, { scheme });
    }
    await shoot(page, 'fleet-tasks', '/tasks');
    await shoot(page, 'middle-fleet-tasks', '/tasks', { size: { width: 800, height: 900 } });
    await shoot(page, 'narrow-fleet-task', `/tasks/${task}`, { size: phone, full: true });
    await shoot(page, 'middle-fleet-panel', '/profiles?profile=development', { size: { width: 1200, height: 900 } });
    for (const [name, size] of [['retire', wide], ['narrow-retire', phone]])
      await shoot(page, name, '/profiles', { size, act: () => page.getByRole('button', { name: 'Retire build-2' }).click() });
    await shoot(page, 'away-fleet', '/profiles', { act: async () => {
      await page.context().setOffline(true);
      await page.getByText('Connection lost.').waitFor();
    } });
  },
  async away(page) {
    await shoot(page, 'away', '/profiles');
  },
  async empty(page) {
    await shoot(page, 'demo-profiles', '/profiles');
    await shoot(page, 'demo-analytics', '/profile-analytics', { full: true });
    await shoot(page, 'empty-tasks', '/tasks');
    await shoot(page, 'empty-inbox', '/permissions', { scheme: 'dark' });
    await shoot(page, 'not-found', '/tasks/999');
  },
  async asking(page) {
    await shoot(page, 'inbox', '/permissions');
    await shoot(page, 'task-asking', '/tasks/1', { scheme: 'dark' });
  },
};

await withPage({}, (page) => sets[set](page));
process.exit(0);
