// Keeps the store up to date: every updateInterval, and at once when the daemon tells of an event,
// while somebody looks at the page.
import { effect } from '@preact/signals';
import { api, ApiError } from './api';
import { readEvents } from './events';
import {
  asWanted, connection, failure, health, histories, isPaused, now, onPoke, permissions, profiles, pulse, running,
  updatedAt, wrote,
} from './store';

const SOON_MS = 200; // events come in swarms: what they are about is read once
const HISTORY_MS = 15_000;
const RETRY_MS = 2_000;
const RUNNING_MAX = 100;

let refreshing: Promise<void> | null = null;
let asked = Infinity; // ms until another round, asked for while one is under way
let dueAt = Infinity; // when the next round begins
let timer: ReturnType<typeof setTimeout> | undefined;
let wroteTimer: ReturnType<typeof setTimeout> | undefined;
let historiesAt = 0;
let stream: AbortController | null = null;
let lastEvent = '';

const interval = (): number => 1000 * (health.value?.updateInterval ?? 5);
/** What cannot be reached is tried even while paused. */
const isWatched = (): boolean => document.visibilityState === 'visible' && (!isPaused.value || failure.value !== null);

async function loadHistories(): Promise<void> {
  const names = profiles.value!.map((view) => view.profile.name);
  const known = (error: ApiError): null => {
    if (error.status !== 404) throw error;
    return null; // it was removed a moment ago
  };
  const loaded = await Promise.all(names.map((name) => api.history('1h', name).catch(known)));
  histories.value = Object.fromEntries(names.flatMap((name, i) => (loaded[i] ? [[name, loaded[i]]] : [])));
  historiesAt = Date.now();
}

async function load(): Promise<void> {
  try {
    const [views, tasks, questions, state] = await Promise.all([
      api.profiles(), api.tasks({ status: 'running', limit: RUNNING_MAX }), api.permissions(), api.health(),
    ]);
    profiles.value = views.map(asWanted);
    running.value = tasks.tasks;
    permissions.value = questions;
    health.value = state;
    if (Date.now() - historiesAt > HISTORY_MS || views.some((v) => !histories.value[v.profile.name]))
      await loadHistories();
    failure.value = null;
    updatedAt.value = Date.now();
    pulse.value++;
  } catch (error) {
    failure.value = error instanceof ApiError ? error : new ApiError(0, String(error));
  }
}

/** Reads everything again; whoever asks while that is under way gets another round. */
function refresh(): void {
  if (refreshing) {
    asked = 0;
    return;
  }
  clearTimeout(timer);
  refreshing = load().then(() => {
    const ms = asked;
    refreshing = null;
    asked = Infinity;
    if (ms === 0) return refresh();
    plan(Math.min(ms, failure.value ? RETRY_MS : interval()));
  });
}

function plan(ms: number): void {
  clearTimeout(timer);
  dueAt = Date.now() + ms;
  timer = setTimeout(() => (isWatched() ? refresh() : undefined), ms);
}

function soon(): void {
  if (refreshing) asked = Math.min(asked, SOON_MS);
  else if (dueAt - Date.now() > SOON_MS) plan(SOON_MS); // one that comes sooner stays: events never put it off
}

/** A log grew: that is for whoever shows it, and changes nothing else. */
function noteLog(): void {
  wroteTimer ??= setTimeout(() => {
    wroteTimer = undefined;
    wrote.value++;
  }, SOON_MS);
}

/** Follows the daemon's events until the page is hidden or paused. */
async function follow(controller: AbortController): Promise<void> {
  while (!controller.signal.aborted) {
    try {
      await readEvents(lastEvent, (event) => {
        if (event.id) lastEvent = event.id;
        if (event.type === 'log') noteLog();
        else soon();
      }, controller.signal);
    } catch {
      // The next round says whether anything is wrong.
    }
    if (controller.signal.aborted) return;
    soon();
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

function watch(): void {
  stream?.abort();
  stream = null;
  if (!isWatched()) return;
  refresh();
  stream = new AbortController();
  void follow(stream);
}

export function startLive(): void {
  onPoke(refresh);
  setInterval(() => {
    if (document.visibilityState === 'visible') now.value = Date.now();
  }, 1000);
  document.addEventListener('visibilitychange', watch);
  effect(() => {
    void isPaused.value;
    queueMicrotask(watch);
  });
}

/** After a token was given, or when the user does not want to wait. */
export function reconnect(): void {
  isPaused.value = false;
  watch();
}

/** Pauses or resumes; what cannot be reached is tried at once. */
export function toggleUpdates(): void {
  if (connection.value === 'reconnecting') reconnect();
  else isPaused.value = !isPaused.value;
}
