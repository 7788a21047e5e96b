// SPDX-License-Identifier: MIT
// What people do with the page, in a real browser against a real gateway and daemon.
// node scenarios.mjs NAME URL [EXTRA]: exits 0 when it held; see test_browser.py.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { assertAccessible, eventually, isFocused, narrow, outside, wide, withPage } from './page.mjs';

const live = (page) => page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
const row = (page, name) => page.getByRole('region', { name: 'Profiles' }).getByRole('row', { name });

async function openProfiles(page, url) {
  await page.goto(`${url}/profiles`);
  await live(page);
}

async function routingTerms(url) {
  const { components } = await (await fetch(`${url}/api/openapi.json`)).json();
  return Object.keys(components.schemas.RoutingTerms.properties);
}

async function assign(page, fields) {
  await page.getByRole('button', { name: 'Assign task' }).first().click();
  const dialog = page.getByRole('dialog', { name: 'Assign task' });
  for (const [label, value] of Object.entries(fields)) {
    if (label === 'profile') await dialog.getByRole('radio', { name: value }).check();
    else if (label === 'Priority') await dialog.getByLabel(label).selectOption(value);
    else await dialog.getByLabel(label).fill(value);
  }
  return dialog;
}

const scenarios = {
  // The API, from a script in a page, without a word about content types.
  async fetches(page, url) {
    await page.goto(`${url}/icon.svg`);
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

  // Each profile has its switch, which acts at once, and can be taken back.
  async switches(page, url) {
    await page.goto(url);
    await live(page);
    await eventually(() => new URL(page.url()).pathname, '/profiles');
    await eventually(() => page.title(), 'Profiles · acpd');
    await eventually(() => page.getByRole('switch').count(), 3);
    await page.getByText('These are demo profiles.').waitFor();

    const toggle = page.getByRole('switch', { name: 'Refinement Specialist is active' });
    await toggle.click();
    await row(page, /Refinement Specialist.*Disabled/).waitFor();
    await outside('is off');
    await page.getByRole('button', { name: 'Undo' }).click();
    await row(page, /Refinement Specialist.*Idle/).waitFor();
    await outside('is on');
    // In the panel it is a button: one switch a profile.
    await page.getByRole('button', { name: 'Refinement Specialist' }).click();
    await page.getByRole('complementary').getByRole('button', { name: 'Disable' }).click();
    await outside('is off');
    await eventually(() => page.getByRole('switch').count(), 3);
    // What another client changes is seen without a click.
    await outside('turn on');
    await row(page, /Refinement Specialist.*Idle/).waitFor();
  },

  // A task is assigned by hand; what the daemon finds wrong stands at its field.
  async assigns(page, url) {
    await openProfiles(page, url);
    const dialog = await assign(page, { Title: '', Type: 'Not A Word', profile: /Developer/ });
    await dialog.getByRole('button', { name: 'Assign task' }).click();
    await dialog.getByText('Title must not be empty').waitFor();
    await assertAccessible(page, 'the dialog with an error');
    await dialog.getByLabel('Title').fill('From the <b>page</b>');
    await dialog.getByRole('button', { name: 'Assign task' }).click();
    await dialog.getByText(/Type must be a word/).waitFor();
    await eventually(() => dialog.getByLabel('Type').getAttribute('aria-invalid'), 'true');
    await dialog.getByLabel('Type').fill('coding');
    await dialog.getByLabel('Priority').selectOption('high');
    await dialog.getByLabel('Not before').fill('2100-01-01T00:00');
    await dialog.getByRole('button', { name: 'Assign task' }).click();
    await page.getByText('#1 assigned to Developer').waitFor();
    await dialog.waitFor({ state: 'hidden' });
  },

  // The best match is shown, with the terms behind it, while the task is typed.
  async matches(page, url) {
    await openProfiles(page, url);
    const dialog = await assign(page, { Title: 'Estimate it', Type: 'estimation' });
    await dialog.getByText(/Best match: Refinement Specialist/).waitFor();
    const decision = dialog.getByRole('region', { name: 'Routing decision' });
    for (const term of await routingTerms(url))
      await decision.getByRole('columnheader', { name: term }).waitFor();
    await decision.getByRole('row', { name: /Developer.*lacks the capability/ }).waitFor();
    await assertAccessible(page, 'the dialog with a match');
    await dialog.getByLabel('Type').fill('surgery');
    await dialog.getByText(/No profile fits/).waitFor();
    await dialog.getByLabel('Type').fill('estimation');
    await dialog.getByText(/Best match: Refinement Specialist/).waitFor();
    await dialog.getByRole('button', { name: 'Assign task' }).click();
    await page.getByText('#1 assigned to Refinement Specialist').waitFor();
    await page.goto(`${url}/tasks/1`);
    await page.getByRole('heading', { name: 'Why it went to Refinement Specialist' }).waitFor();
    await page.getByText('Completed', { exact: true }).waitFor();
    await page.getByRole('heading', { name: 'Result' }).waitFor();
    await assertAccessible(page, 'a completed task');
  },

  // A profile that fails says so, and why, wherever it is shown.
  async fails(page, url) {
    await openProfiles(page, url);
    await outside('fail');
    await row(page, /bad.*Unhealthy/).waitFor();
    await page.getByText('the last 5 attempts failed').first().waitFor();
    await page.getByRole('radio', { name: /Needs attention 1/ }).check({ force: true });
    await row(page, /good/).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'bad', exact: true }).click();
    await page.getByRole('complementary').getByText('the last 5 attempts failed').waitFor();
    await assertAccessible(page, 'an unhealthy profile');
    await page.keyboard.press('2');
    await page.getByText(/1 profile needs attention/).waitFor();
    await page.goto(`${url}/tasks?status=failed`);
    await page.getByRole('link', { name: 'it fails' }).first().click();
    await page.getByText('The program failed:').waitFor();
    await assertAccessible(page, 'a failed task');
    await page.getByRole('button', { name: 'Retry' }).click();
    await page.getByText(/attempt|Attempt/).first().waitFor();
    await outside('was retried');
  },

  // An agent's question reaches the inbox, and its answer the agent.
  async answers(page, url) {
    await openProfiles(page, url);
    await outside('ask');
    await page.getByRole('link', { name: /Inbox 1 open questions/ }).click();
    await page.getByRole('heading', { name: 'Inbox' }).waitFor();
    await assertAccessible(page, 'the inbox');
    const question = page.getByRole('listitem').filter({ hasText: 'Developer' });
    await question.getByRole('link', { name: '#1' }).waitFor();
    await question.getByRole('button').first().click();
    await page.getByText('No questions').waitFor();
    await page.goto(`${url}/tasks/1`);
    await page.getByText('Completed', { exact: true }).waitFor();
    // There is one node only, which nobody needs to be told.
    assert.equal(await page.getByText('Node', { exact: true }).count(), 0);
    await openProfiles(page, url);
    await row(page, /Developer/).waitFor();
    assert.equal(await page.getByText('Nodes').count(), 0);
  },

  // The log of a task that runs grows before one's eyes.
  async follows(page, url) {
    await page.goto(`${url}/tasks/1`);
    const log = page.getByRole('list', { name: 'Log entries' });
    await log.getByText('line 1', { exact: true }).waitFor();
    await outside('write');
    await log.getByText('line 200', { exact: true }).waitFor();
    const rest = () => log.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight);
    await eventually(async () => await rest() < 24, true); // the end is in sight
    await assertAccessible(page, 'a running task');
    // Whoever reads is left alone.
    await log.evaluate((box) => (box.scrollTop = 0));
    await page.waitForFunction(() => !document.querySelector('.follow input').checked);
    await outside('write');
    await log.getByText('line 400', { exact: true }).waitFor({ state: 'attached' });
    assert.ok(await rest() > 1000, 'the place is kept');
    await page.getByRole('button', { name: 'Cancel task' }).click();
    await page.getByText('Cancelled:').waitFor();
    await page.getByRole('heading', { level: 1 }).getByText('It writes').waitFor();
  },

  // The daemon is killed and comes back; then the gateway is.
  async survives(page, url, _extra, complaints) {
    let answer;
    await page.route('**/api/health', async (route) => {
      await new Promise((resolve) => (answer = resolve));
      await route.continue();
    }, { times: 1 });
    await page.goto(`${url}/profiles`);
    await page.getByRole('status').filter({ hasText: 'Connecting' }).waitFor(); // until all is read
    await eventually(() => typeof answer, 'function');
    answer();
    await live(page);
    await outside('kill acpd');
    await page.getByText('Connection lost.').waitFor();
    await eventually(() => page.getByRole('switch').first().isDisabled(), true);
    await assertAccessible(page, 'a page without a daemon');
    await page.goto(`${url}/profiles`);
    await page.getByRole('heading', { name: 'The daemon is not answering' }).waitFor();
    await assertAccessible(page, 'a first visit without a daemon');
    await page.getByRole('button', { name: 'Reconnecting' }).click(); // tries, and goes on trying
    await outside('start acpd');
    await live(page);
    await outside('kill the gateway');
    await page.getByText('Connection lost.').waitFor();
    await outside('start the gateway');
    await live(page);
    await page.getByText('Connection lost.').waitFor({ state: 'detached' });
    await outside('assign');
    await row(page, /Developer.*Working/).waitFor();
    complaints.length = 0; // the browser notes each request that failed meanwhile
  },

  // Thousands of tasks are listed a page at a time, and filtered.
  async lists(page, url) {
    await page.goto(`${url}/tasks`);
    const tasks = page.getByRole('region', { name: 'Tasks' }).getByRole('row');
    await page.getByText('#3000').waitFor();
    await eventually(() => tasks.count(), 51);
    for (let shown = 101; shown <= 251; shown += 50) {
      await page.getByRole('button', { name: 'Older tasks' }).click();
      await page.waitForFunction((n) => document.querySelectorAll('.tasks tr').length === n, shown);
    }
    await outside('assign');
    await page.getByText('#3001').waitFor();
    await page.waitForFunction(() => document.querySelectorAll('.tasks tr').length === 252);
    await assertAccessible(page, 'a long list');
    await page.getByLabel('Status').selectOption('cancelled');
    await page.getByText('#7', { exact: true }).waitFor();
    await eventually(() => tasks.count(), 2);
    await eventually(() => new URL(page.url()).search, '?status=cancelled');
    await page.getByRole('link', { name: 'task 7' }).click();
    await page.getByRole('heading', { name: '#7 task 7' }).waitFor();
    await page.goBack();
    await page.getByText('#7', { exact: true }).waitFor();
    await page.getByLabel('Status').selectOption('');
    await page.getByLabel('Profile').selectOption('other');
    await page.getByText('No tasks').waitFor();
  },

  // The queue is managed where it is seen: why each waits; priority, profile, cancel.
  async queues(page, url) {
    await openProfiles(page, url);
    await page.getByRole('button', { name: 'busy', exact: true }).click();
    const panel = page.getByRole('complementary');
    await panel.getByText('waiting for a free slot').first().waitFor();
    await panel.getByText('not due yet').waitFor();
    await panel.getByText('waiting for #1').waitFor();
    const second = panel.getByRole('listitem').filter({ hasText: 'second' });
    await second.getByRole('button', { name: /Change #3/ }).click();
    await assertAccessible(page, 'the panel of a profile');
    await second.getByLabel('Priority of #3').selectOption('high');
    await outside('is high');
    await second.getByLabel('Move #3 to another profile').selectOption('spare');
    await outside('was moved');
    await page.getByText('#3 moved to').waitFor();
    await second.waitFor({ state: 'detached' });
    const first = panel.getByRole('listitem').filter({ hasText: 'first' });
    await first.getByRole('button', { name: /Change #2/ }).click();
    await first.getByRole('button', { name: 'Cancel' }).click();
    await outside('was cancelled');
    await page.getByText('#2 cancelled.').waitFor();
    await page.getByRole('button', { name: 'Undo' }).click();
    await outside('was taken back');
  },

  // Everything, by keyboard.
  async keyboard(page, url) {
    await openProfiles(page, url);
    await page.keyboard.press('Tab');
    await page.getByRole('link', { name: 'Skip to content' }).waitFor();
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
    await assertAccessible(page, 'the help');
    await page.keyboard.press('Escape');
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await eventually(() => new URL(page.url()).searchParams.get('profile'), 'refinement');
    await page.keyboard.press('e');
    await outside('is off');
    await page.keyboard.press('a');
    const dialog = page.getByRole('dialog', { name: 'Assign task' });
    await eventually(() => dialog.getByRole('radio', { name: /Refinement/ }).isChecked(), true);
    await isFocused(dialog.getByLabel('Title'));
    await page.keyboard.type('Typed');
    await page.keyboard.press('Enter');
    await page.getByText('#1 assigned to Refinement Specialist').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('complementary').waitFor({ state: 'detached' });
    await page.keyboard.press('/');
    await page.keyboard.type('coding');
    await row(page, /Product Manager/).waitFor({ state: 'detached' });
    await page.keyboard.press('Tab');
    await page.keyboard.press('j');
    await eventually(() => new URL(page.url()).searchParams.get('profile'), 'development'); // the first that is shown
    await page.keyboard.press('Escape');
    await page.keyboard.press('p');
    await page.getByRole('status').filter({ hasText: 'Paused' }).waitFor();
    await page.keyboard.press('p');
    await page.keyboard.press('3');
    await page.getByRole('heading', { name: 'Tasks' }).waitFor();
    await eventually(() => page.title(), 'Tasks · acpd');
    await isFocused(page.getByRole('heading', { level: 1 }));
    await page.goBack();
    await page.getByRole('heading', { name: 'Profiles' }).waitFor();
  },

  // The figures: ranges, charts that pointer and keyboard read, a file to take away.
  async analytics(page, url) {
    await page.goto(`${url}/profile-analytics?range=1h`);
    await page.getByText('All profiles are healthy.').waitFor();
    const figures = page.getByRole('region', { name: 'Metrics by profile' });
    await figures.getByRole('row', { name: /p.*Healthy/ }).waitFor();
    const chart = page.getByRole('figure', { name: /Finished tasks, last hour: 3 completed, 1 failed/ });
    await chart.focus();
    await page.keyboard.press('ArrowLeft');
    await chart.getByRole('status').getByText(/Completed/).waitFor();
    await chart.hover();
    await assertAccessible(page, 'the figures');
    const [download] = await Promise.all([
      page.waitForEvent('download'), page.getByRole('button', { name: 'Export CSV' }).click()]);
    const lines = (await readFile(await download.path(), 'utf8')).trim().split('\r\n');
    assert.equal(lines[0].split(',')[0], 'profile');
    assert.equal(lines.length, 61);
    const total = lines.slice(1).reduce((sum, line) => sum + Number(line.split(',')[2]), 0);
    assert.equal(total, 3);
    for (const range of ['24h', '7d']) {
      await page.getByRole('radio', { name: range }).check({ force: true });
      await page.getByRole('figure', { name: /Finished tasks.*: 3 completed, 1 failed/ }).waitFor();
      await eventually(() => new URL(page.url()).searchParams.get('range'), range);
    }
    // In its first hours nothing is known of the days before: a gap, and not nought.
    await page.getByRole('cell', { name: /no data/ }).first().waitFor({ state: 'attached' });
  },

  // Every view in dark, on a phone: nothing hangs over, nothing is hard to read.
  async narrow(page, url) {
    await page.setViewportSize(narrow);
    await page.emulateMedia({ colorScheme: 'dark' });
    for (const path of ['/profiles', '/profiles?profile=development', '/profile-analytics', '/tasks', '/tasks/1',
      '/permissions', '/tasks/none']) {
      await page.goto(url + path);
      await live(page);
      await page.waitForFunction(() => !document.querySelector('.skeleton'));
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${path} is ${over} pixels too wide`);
      await assertAccessible(page, `${path} in dark, on a phone`);
    }
    const color = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await color();
    await page.goto(`${url}/profiles`);
    await page.getByRole('button', { name: /Theme/ }).click();
    await eventually(async () => await color() !== dark, true);
    await page.reload();
    await eventually(async () => await color() !== dark, true); // the choice is kept
  },

  // Of two nodes, one has run a task and runs another; it is retired, and leaves.
  async fleet(page, url) {
    const region = page.getByRole('region', { name: 'Nodes' });
    const node = (name) => region.getByRole('listitem').filter({ hasText: name });
    const fact = (text) => page.getByRole('region', { name: 'Facts' }).getByText(text, { exact: true });
    await openProfiles(page, url);
    await node('a1').getByText('runs nothing').waitFor();
    await node('b1').getByText('runs 1 attempt', { exact: true }).waitFor();
    await node('b1').getByText('configured differently in 1 setting').click();
    await node('b1').getByText('quick.timeout').waitFor();
    await eventually(() => node('b1').getByRole('link').getAttribute('href'), 'http://b.example:8080');
    await assertAccessible(page, 'a list of nodes');

    await page.goto(`${url}/tasks`);
    await page.getByRole('row', { name: /#1 .*b1/ }).waitFor();
    await page.getByRole('link', { name: 'It is done' }).click();
    await fact('Node').waitFor();
    await fact('b1').waitFor();
    await page.getByText('The log of task 1, attempt 1, is on node "b1"').waitFor();
    await page.getByRole('link', { name: 'http://b.example:8080/tasks/1', exact: true }).waitFor();
    await assertAccessible(page, 'a task of another node');

    await openProfiles(page, url);
    await page.setViewportSize(narrow);
    await node('b1').getByRole('button', { name: 'Retire b1' }).click();
    const dialog = page.getByRole('dialog', { name: 'Retire node b1?' });
    await assertAccessible(page, 'a question');
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await dialog.waitFor({ state: 'detached' });
    await node('b1').getByText('Running').waitFor();
    await node('b1').getByRole('button', { name: 'Retire b1' }).click();
    await dialog.getByRole('button', { name: 'Retire' }).click();
    await page.getByText('Node b1 takes no more tasks.').waitFor();
    await node('b1').getByText('Retiring').waitFor();
    await eventually(() => region.getByRole('button').count(), 1);
    await assertAccessible(page, 'a list of nodes on a phone');
    await outside('let it go');
    await region.waitFor({ state: 'detached' }); // one is left

    await page.setViewportSize(wide);
    await page.goto(`${url}/tasks/1`);
    await fact('b1').waitFor(); // not this one
    await page.getByText('The log of task 1, attempt 1, is on node "b1", which is not running.').waitFor();
    await page.goto(`${url}/tasks`);
    await page.getByRole('columnheader', { name: 'Type' }).waitFor();
    await eventually(() => page.getByRole('columnheader', { name: 'Node' }).count(), 0);
  },

  // A gateway with a token asks for it, and everything works with it.
  async token(page, url, token, complaints) {
    await page.goto(`${url}/profiles`);
    await page.getByRole('heading', { name: 'Token required' }).waitFor();
    await assertAccessible(page, 'the question for a token');
    await page.getByLabel('Token').fill('not it');
    await page.keyboard.press('Enter');
    await page.getByText('That token was not accepted.').waitFor();
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Continue' }).click();
    await live(page);
    await row(page, /Developer/).waitFor();
    await outside('assign');
    await row(page, /Developer.*Working/).waitFor();
    complaints.length = 0; // the browser notes each 401
  },

  // A token that may only read shows everything, and says why nothing can be changed.
  async reader(page, url, token, complaints) {
    await page.goto(`${url}/profiles`);
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Continue' }).click();
    await live(page);
    const toggle = page.getByRole('switch', { name: 'Refinement Specialist is active' });
    await toggle.click();
    await page.getByText('the token "screen" may only read').waitFor();
    await eventually(() => toggle.getAttribute('aria-checked'), 'true');
    complaints.length = 0; // the browser notes each 401 and 403
  },

  // Hours of work in a minute: what the page holds does not grow, and whoever reads is left alone.
  async steady(page, url) {
    await page.setViewportSize({ width: 1440, height: 420 });
    await page.goto(`${url}/profiles?profile=p`);
    await live(page);
    const panel = page.getByRole('complementary');
    await panel.getByText('No running tasks.').waitFor();
    const session = await page.context().newCDPSession(page);
    await session.send('Performance.enable');
    const measure = async () => {
      await session.send('HeapProfiler.collectGarbage');
      const { metrics } = await session.send('Performance.getMetrics');
      const value = (name) => metrics.find((metric) => metric.name === name).value;
      return { nodes: value('Nodes'), listeners: value('JSEventListeners'), heap: value('JSHeapUsedSize') };
    };
    const button = panel.getByRole('button', { name: 'Assign task' });
    await button.focus();
    await page.evaluate(() => scrollTo(0, 60));
    const work = async (rounds) => {
      for (let i = 0; i < rounds; i++) {
        const { id } = await outside('work');
        await panel.locator(`a[href="/tasks/${id}"]`).waitFor({ state: 'attached' });
      }
    };
    await work(20);
    const before = await measure();
    await work(60);
    const after = await measure();
    assert.ok(after.nodes <= before.nodes * 1.2 + 200, `nodes: ${before.nodes}, then ${after.nodes}`);
    assert.ok(after.listeners <= before.listeners * 1.2 + 50, `listeners: ${before.listeners}, then ${after.listeners}`);
    assert.ok(after.heap < before.heap * 1.5 + 1e6, `heap: ${before.heap}, then ${after.heap}`);
    assert.ok(await button.evaluate((element) => element === document.activeElement), 'the focus stays');
    assert.equal(await page.evaluate(() => scrollY), 60, 'the place stays');
    return { before, after };
  },

  // No profiles that fit, no tasks, no questions: each says so.
  async empty(page, url) {
    await openProfiles(page, url);
    await page.getByLabel('Filter profiles').fill('nothing like it');
    await page.getByText('No profile matches.').waitFor();
    await assertAccessible(page, 'a filter without a match');
    await page.getByRole('button', { name: 'Clear filters' }).click();
    await row(page, /Developer/).waitFor();
    await page.goto(`${url}/tasks`);
    await page.getByText('No tasks').waitFor();
    await assertAccessible(page, 'an empty list');
    await page.goto(`${url}/tasks/12`);
    await page.getByText('Task not found').waitFor();
  },
};

const [name, url, extra] = process.argv.slice(2);
await withPage({}, async (page, complaints) => {
  const seen = await scenarios[name](page, url, extra, complaints);
  // The browser itself notes a 404 and the errors that a scenario asks for.
  const expected = /status of (404|400)/;
  if (name !== 'strangers') assert.deepEqual(complaints.filter((text) => !expected.test(text)), []);
  console.log(JSON.stringify({ seen: seen ?? {} }));
});
process.exit(0);
