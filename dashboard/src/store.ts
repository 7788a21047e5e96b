// What the page knows, as signals: what several parts of it show, and what a user does to it.
import { computed, signal } from '@preact/signals';
import { api, ApiError, type Health, type History, type Permission, type ProfileView, type Task } from './api';
import { go, selected, withParams } from './router';
import { plural } from './format';

export type Connection = 'live' | 'paused' | 'reconnecting';

/** null: not known yet. */
export const profiles = signal<ProfileView[] | null>(null);
export const running = signal<Task[]>([]);
export const histories = signal<Record<string, History>>({}); // of the last hour, by profile
export const health = signal<Health | null>(null);
export const permissions = signal<Permission[] | null>(null);

export const isPaused = signal(false);
export const failure = signal<ApiError | null>(null); // of the last refresh
export const updatedAt = signal(0); // ms
export const now = signal(Date.now());
/** Counts up whenever something may have changed: whoever shows more than this page's common
 *  knowledge loads it again. */
export const pulse = signal(0);
/** Counts up when some log has grown. */
export const wrote = signal(0);

/** 429 is said of reads to whom too many wrong tokens came from. */
export const needsToken = computed(() => [401, 429].includes(failure.value?.status ?? 0));
export const isAway = computed(() => failure.value !== null && !needsToken.value);
export const connection = computed<Connection>(() =>
  isAway.value ? 'reconnecting' : isPaused.value ? 'paused' : 'live');

export const selectedView = computed(() =>
  profiles.value?.find((view) => view.profile.name === selected.value) ?? null);
export const roleOf = (name: string): string =>
  profiles.value?.find((view) => view.profile.name === name)?.profile.role ?? name;
export const colorOf = (name: string): string =>
  profiles.value?.find((view) => view.profile.name === name)?.profile.color ?? 'var(--fg-4)';

/* Parts of the page that open over it */
export const assigning = signal<string | null>(null); // a profile's name, '' for the best match
export const isHelpOpen = signal(false);
export const filter = signal('');

export interface Toast {
  text: string;
  undo?: () => void;
  isError?: boolean;
}

export const toast = signal<Toast | null>(null);

export function undo(): void {
  const offered = toast.value?.undo;
  if (!offered) return;
  toast.value = null;
  offered();
}

/** Does something for the user; says so when it cannot be done. */
export async function attempt(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    toast.value = { text: error instanceof Error ? error.message : String(error), isError: true };
    return false;
  } finally {
    poke();
  }
}

/** Something was changed: look again, even while updates are paused. */
let look = (): void => {};
export const onPoke = (callback: () => void): void => void (look = callback);
export const poke = (): void => look();

/** What the user has switched and the daemon has not answered yet: what is read meanwhile is older. */
const wanted = new Map<string, boolean>();

export function asWanted(view: ProfileView): ProfileView {
  const isActive = wanted.get(view.profile.name);
  return isActive === undefined ? view : { ...view, state: { ...view.state, isActive } };
}

async function switchTo(name: string, isActive: boolean): Promise<boolean> {
  wanted.set(name, isActive);
  profiles.value = profiles.value?.map(asWanted) ?? null;
  const worked = await attempt(async () => {
    try {
      await api.setActive(name, isActive);
    } finally {
      if (wanted.get(name) === isActive) wanted.delete(name);
    }
  });
  if (!worked)
    profiles.value = profiles.value?.map((view) =>
      view.profile.name === name ? { ...view, state: { ...view.state, isActive: !isActive } } : view) ?? null;
  return worked;
}

/** Enables or disables a profile at once, and lets the user take it back. */
export async function setActive(view: ProfileView, isActive: boolean): Promise<void> {
  const { name, role } = view.profile;
  const { currentTasks, queueSize } = view.state;
  if (!(await switchTo(name, isActive))) return;
  toast.value = {
    text: isActive
      ? `${role} is enabled. ${plural(queueSize, 'waiting task')} will start.`
      : `${role} is disabled. ${plural(currentTasks, 'running task')} will finish, ${plural(queueSize, 'task stays', 'tasks stay')} queued.`,
    undo: () => void switchTo(name, !isActive),
  };
}

/** What opens a profile's panel, where the page shows it. */
export const rowButton = (name: string): HTMLElement | null =>
  document.querySelector(`[data-profile="${CSS.escape(name)}"] button`);

/** Opens a profile's panel, or closes it: "back" leaves the panel, however many were looked at. */
export function select(name: string | null): void {
  go(withParams({ profile: name }), { replace: selected.value !== null });
}
