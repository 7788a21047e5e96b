// The state shared by several parts of the page, as signals, and the user's actions.
import { computed, signal } from '@preact/signals';
import { api, ApiError, type Health, type History, type Permission, type ProfileView, type Task } from './api';
import { go, selected, withParams } from './router';
import { plural } from './format';

export type Connection = 'connecting' | 'live' | 'paused' | 'reconnecting';

/** null: not known yet. */
export const profiles = signal<ProfileView[] | null>(null);
export const running = signal<Task[]>([]);
export const histories = signal<Record<string, History>>({}); // last hour, by profile
export const health = signal<Health | null>(null);
export const permissions = signal<Permission[] | null>(null);

export const isPaused = signal(false);
export const failure = signal<ApiError | null>(null); // of the last refresh
export const updatedAt = signal(0); // ms
export const now = signal(Date.now());
/** Incremented whenever something may have changed; views with data of their own then reload it. */
export const pulse = signal(0);
/** Incremented when a log has grown. */
export const wrote = signal(0);

/** Reads get 429 after too many wrong tokens from the client. */
export const needsToken = computed(() => [401, 429].includes(failure.value?.status ?? 0));
export const isAway = computed(() => failure.value !== null && !needsToken.value);
export const connection = computed<Connection>(() =>
  isAway.value ? 'reconnecting' : isPaused.value ? 'paused' : updatedAt.value ? 'live' : 'connecting');

export const selectedView = computed(() =>
  profiles.value?.find((view) => view.profile.name === selected.value) ?? null);
export const roleOf = (name: string): string =>
  profiles.value?.find((view) => view.profile.name === name)?.profile.role ?? name;
export const colorOf = (name: string): string =>
  profiles.value?.find((view) => view.profile.name === name)?.profile.color ?? 'var(--fg-4)';

/** The acpds that share the store. */
export const nodes = computed(() => health.value?.nodes ?? []);
export const isFleet = computed(() => nodes.value.length > 1);

/* Overlays */
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

/** Does something for the user; shows a message if it fails. */
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

/** Refreshes after a change, even while updates are paused. */
let look = (): void => {};
export const onPoke = (callback: () => void): void => void (look = callback);
export const poke = (): void => look();

/** Switches that the daemon has not acknowledged yet; data read meanwhile is older. */
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

/** Enables or disables a profile at once; the user can undo it. */
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

/** The button that opens a profile's panel, if shown. */
export const rowButton = (name: string): HTMLElement | null =>
  document.querySelector(`[data-profile="${CSS.escape(name)}"] button`);

/** Opens or closes a profile's panel. "Back" closes it, no matter how many were opened. */
export function select(name: string | null): void {
  go(withParams({ profile: name }), { replace: selected.value !== null });
}
