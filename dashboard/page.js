// SPDX-License-Identifier: MIT
// A plain page until the dashboard is built: the profiles, live; switch them, hand them tasks.

const health = document.querySelector('#health');
const rows = document.querySelector('#profiles');
const form = document.querySelector('#assign');
const assigned = document.querySelector('#assigned');
let interval = 5; // seconds

let mayAsk = true; // for the token: not again once the question was declined

// The token, when the gateway asks for one, is kept until the tab is closed.
async function api(path, options = {}) {
  const token = sessionStorage.getItem('token');
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetch(path, { ...options, headers });
  const body = await response.json();
  if (response.status === 401 && mayAsk) {
    // Another request may have asked meanwhile.
    if (sessionStorage.getItem('token') !== token) return api(path, options);
    const given = prompt('This acpd asks for its token:');
    mayAsk = Boolean(given);
    if (given) {
      sessionStorage.setItem('token', given.trim());
      return api(path, options);
    }
  }
  if (!response.ok) throw new Error(body.error);
  return body;
}

function cell(tag, text, className) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

function seconds(value) {
  return value < 10 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}

function switchOf({ name, isActive }) {
  const toggle = document.createElement('button');
  toggle.setAttribute('role', 'switch');
  toggle.setAttribute('aria-label', `${name} is active`);
  toggle.setAttribute('aria-checked', isActive);
  toggle.onclick = () => act(async () => {
    await api(`/api/profiles/${encodeURIComponent(name)}/status`, {
      method: 'PUT',
      body: JSON.stringify({ isActive: toggle.getAttribute('aria-checked') !== 'true' }),
    });
    await refresh();
  });
  return toggle;
}

function stateOf({ isActive, health: profileHealth, healthReason, isProcessing }) {
  if (!isActive) return 'Paused';
  if (profileHealth !== 'healthy') return healthReason ?? profileHealth;
  return isProcessing ? 'Working' : 'Idle';
}

function rowOf({ profile, state, metrics }) {
  const row = document.createElement('tr');
  const name = cell('th', profile.name);
  name.scope = 'row';
  name.append(cell('small', profile.role));
  const active = cell('td', '');
  active.append(switchOf(state));
  const measured = metrics.sampleSize > 0;
  row.append(
    name,
    cell('td', stateOf(state), state.health === 'healthy' ? '' : 'bad'),
    cell('td', `${state.currentTasks} / ${profile.maxConcurrentTasks}`, 'number'),
    cell('td', state.queueSize, 'number'),
    cell('td', state.completedTasks, 'number'),
    cell('td', state.failedTasks, 'number'),
    cell('td', measured ? `${Math.round(metrics.successRate)} %` : 'no data', 'number'),
    cell('td', measured ? seconds(metrics.averageTaskDuration) : 'no data', 'number'),
    active,
  );
  return row;
}

function showProfiles(profiles) {
  const focused = document.activeElement?.getAttribute('aria-label');
  rows.replaceChildren(...profiles.map(rowOf));
  if (focused) rows.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  const names = profiles.map(({ profile }) => profile.name);
  const options = [...form.elements.profile.options].slice(1).map((option) => option.value);
  if (names.join() !== options.join()) {
    const chosen = form.elements.profile.value;
    form.elements.profile.replaceChildren(new Option('Best match', ''), ...names.map((n) => new Option(n)));
    form.elements.profile.value = names.includes(chosen) ? chosen : '';
  }
}

async function refresh() {
  const [profiles, system] = await Promise.all([
    api('/api/profiles/with-states'), api('/api/health'),
  ]);
  showProfiles(profiles);
  interval = system.updateInterval;
  health.className = system.status === 'healthy' ? '' : 'bad';
  health.textContent = [system.status, ...system.reasons].join(' · ')
    + (system.demo ? ' · no profiles are configured: these run the demo' : '');
}

async function act(action) {
  try {
    await action();
  } catch (error) {
    health.className = 'bad';
    health.textContent = error.message;
  }
}

form.onsubmit = async (event) => {
  event.preventDefault();
  const { title, description, profile, priority } = Object.fromEntries(new FormData(form));
  const task = { title, priority, ...(description && { description }) };
  try {
    const reply = await api(
      profile ? `/api/profiles/${encodeURIComponent(profile)}/assign-task` : '/api/tasks',
      { method: 'POST', body: JSON.stringify({ task }) },
    );
    assigned.className = '';
    assigned.textContent = `Task ${reply.task.id} went to ${reply.task.profile}.`;
    form.elements.title.value = '';
  } catch (error) {
    assigned.className = 'bad';
    assigned.textContent = error.message;
  }
  act(refresh);
};

while (true) {
  await act(refresh);
  await new Promise((resolve) => { setTimeout(resolve, interval * 1000); });
}
