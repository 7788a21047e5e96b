// A list of tasks whose newest part is loaded again and again, and whose older pages are kept.
import type { Task } from '../../api';

export interface TaskPageData {
  tasks: Task[]; // the newest first
  next: number | null; // the cursor for older ones
}

export interface TaskList extends TaskPageData {
  isExtended: boolean; // by older pages
}

/** The newest page came again. What it covers is as it says; what lies behind it stays. */
export function refreshed(list: TaskList | null, page: TaskPageData): TaskList {
  if (!list?.isExtended) return { ...page, isExtended: false };
  const oldest = page.next === null ? 0 : (page.tasks.at(-1)?.id ?? 0);
  return { ...list, tasks: [...page.tasks, ...list.tasks.filter((task) => task.id < oldest)] };
}

/** Another page, of older tasks. */
export function extended(list: TaskList, page: TaskPageData): TaskList {
  return { tasks: [...list.tasks, ...page.tasks], next: page.next, isExtended: true };
}
