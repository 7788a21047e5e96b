// A list of tasks whose newest page is reloaded, while older pages are kept.
import type { TaskPage } from '../../api';

export interface TaskList extends TaskPage {
  isExtended: boolean; // by older pages
}

/** Replaces the newest page. Older tasks are kept, unless so many are new that some in between
 *  would be missing. */
export function refreshed(list: TaskList | null, page: TaskPage): TaskList {
  const cursor = page.next ?? 0;
  if (!list?.isExtended || cursor > (list.tasks[0]?.id ?? 0)) return { ...page, isExtended: false };
  return { ...list, tasks: [...page.tasks, ...list.tasks.filter((task) => task.id < cursor)] };
}

/** Appends a page of older tasks. */
export function extended(list: TaskList, page: TaskPage): TaskList {
  return { tasks: [...list.tasks, ...page.tasks], next: page.next, isExtended: true };
}
