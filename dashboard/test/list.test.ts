import { describe, expect, it } from 'vitest';
import type { Task } from '../src/api';
import { extended, refreshed } from '../src/pages/tasks/list';

const tasks = (...ids: number[]): Task[] => ids.map((id) => ({ id }) as Task);
const ids = (list: { tasks: Task[] }): number[] => list.tasks.map((task) => task.id);

describe('a list of tasks', () => {
  const first = refreshed(null, { tasks: tasks(9, 8, 7), next: 7 });
  const longer = extended(first, { tasks: tasks(6, 5, 4), next: 4 });

  it('is its newest page', () => expect(ids(refreshed(first, { tasks: tasks(10, 9, 8), next: 8 }))).toEqual([10, 9, 8]));

  it('grows by older pages', () => {
    expect(ids(longer)).toEqual([9, 8, 7, 6, 5, 4]);
    expect(longer.next).toBe(4);
  });

  it('keeps older pages, and what newcomers pushed out of the first', () => {
    const list = refreshed(longer, { tasks: tasks(11, 10, 9), next: 9 });
    expect(ids(list)).toEqual([11, 10, 9, 8, 7, 6, 5, 4]);
    expect(list.next).toBe(4);
  });

  it('drops what no longer fits', () =>
    expect(ids(refreshed(longer, { tasks: tasks(9, 7, 6), next: 6 }))).toEqual([9, 7, 6, 5, 4]));

  it('begins anew when the newest page does not reach what is known', () =>
    expect(refreshed(longer, { tasks: tasks(30, 29, 28), next: 28 }))
      .toEqual({ tasks: tasks(30, 29, 28), next: 28, isExtended: false }));

  it('keeps what a page without a match did not look at', () =>
    expect(ids(refreshed(longer, { tasks: [], next: 6 }))).toEqual([5, 4]));

  it('drops what is gone behind the last page', () =>
    expect(ids(refreshed(longer, { tasks: tasks(9), next: null }))).toEqual([9]));
});
