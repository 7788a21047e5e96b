// What the page knows, as signals: what several parts of it show, and what a user does to it.
import { computed, signal } from '@preact/signals';
import { api, ApiError, type Health, type History, type Permission, type ProfileView, type Task } from './api';
import { go, location, selected, withParams } from './router';
import { plural } from './format';

export type Connection = 'live' | 'paused' | 'reconnecting';

/** null: not known yet. */
export const profiles = signal<ProfileView[] | null>(null);
export const running = signal<Task[]>([]);
export const histories = signal<Record<string, History>>({}); // of the last hour, by profile
export const health = signal<Health | null>(null);
export const permissions = signal<Permission[]>([]);

export const isPaused = signal(false);
export const failure = signal<ApiError | null>(null); // of the last refresh
export const updatedAt = signal(0); // ms
export const now = signal(Date.now());
/** Counts up whenever something may have changed: whoever shows more than this page's common
 *  knowledge loads it again. */
export const pulse = signal(0);

export const isAway = computed(() => failure.value?.isAway ?? false);
export const needsToken = computed(() => failure.value?.status === 401);
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

function putState(name: string, isActive: boolean): void {
  profiles.value = profiles.value?.map((view) =>
    view.profile.name === name ? { ...view, state: { ...view.state, isActive } } : view) ?? null;
}

/** Enables or disables a profile at once, and lets the user take it back. */
export async function setActive(view: ProfileView, isActive: boolean): Promise<void> {
  const { name, role } = view.profile;
  const { currentTasks, queueSize } = view.state;
  putState(name, isActive);
  const worked = await attempt(() => api.setActive(name, isActive));
  if (!worked) return putState(name, !isActive);
  toast.value = {
    text: isActive
      ? `${role} is enabled. ${plural(queueSize, 'waiting task')} will start.`
      : `${role} is disabled. ${plural(currentTasks, 'running task')} will finish, ${plural(queueSize, 'task')} stay queued.`,
    undo: () => {
      putState(name, !isActive);
      void attempt(() => api.setActive(name, !isActive));
    },
  };
}

/** Opens a profile's panel, or closes it. */
export function select(name: string | null): void {
  const target = location.value.pathname === '/profiles' ? withParams({ profile: name }) : `/profiles?profile=${name}`;
  go(target, { replace: location.value.pathname === '/profiles' });
}
