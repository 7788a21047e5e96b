// Refreshes the store every updateInterval and after events from the daemon, while the page is visible.
import { effect } from '@preact/signals';
import { api, ApiError } from './api';
import { readEvents } from './events';
import {
  asWanted, connection, failure, health, histories, isPaused, now, onPoke, permissions, profiles, pulse, running,
  updatedAt, wrote,
} from './store';

const SOON_MS = 200; // events come in bursts, which share one refresh
const HISTORY_MS = 15_000;
const RETRY_MS = 2_000;
const RUNNING_MAX = 100;

let refreshing: Promise<void> | null = null;
let asked = Infinity; // ms until the next refresh, if requested during one
let dueAt = Infinity; // when the next refresh begins
let timer: ReturnType<typeof setTimeout> | undefined;
let wroteTimer: ReturnType<typeof setTimeout> | undefined;
let historiesAt = 0;
let stream: AbortController | null = null;
let lastEvent = '';

const interval = (): number => 1000 * (health.value?.updateInterval ?? 5);
/** While the daemon is away, it is retried even if updates are paused. */
const isWatched = (): boolean => document.visibilityState === 'visible' && (!isPaused.value || failure.value !== null);

async function loadHistories(): Promise<void> {
  const names = profiles.value!.map((view) => view.profile.name);
  const known = (error: ApiError): null => {
    if (error.status !== 404) throw error;
    return null; // it was just removed
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

/** Reads everything again; a call during a refresh starts another one. */
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
  else if (dueAt - Date.now() > SOON_MS) plan(SOON_MS); // never postpones a refresh
}

/** A log has grown, which matters only where a log is shown. */
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
      // The next refresh reports errors.
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

/** Retries now: after a token was entered, or on the user's request. */
export function reconnect(): void {
  isPaused.value = false;
  watch();
}

/** Pauses or resumes updates; while the daemon is away, retries now. */
export function toggleUpdates(): void {
  if (connection.value === 'reconnecting') reconnect();
  else isPaused.value = !isPaused.value;
}
