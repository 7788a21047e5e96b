// Arithmetic on buckets of a history.
import type { Figures, ProfileView } from './api';

export interface Counts {
  completed: number;
  failed: number;
}

const sum = (buckets: Figures[], key: 'completed' | 'failed'): number =>
  buckets.reduce((total, bucket) => total + bucket[key], 0);

/** Adds adjacent buckets up to at most `groups` groups; null if acpd ran in none of a group. */
export function merge(buckets: (Figures | null)[], groups: number): (Counts | null)[] {
  const size = Math.max(1, Math.ceil(buckets.length / groups));
  const merged: (Counts | null)[] = [];
  for (let i = 0; i < buckets.length; i += size) {
    const known = buckets.slice(i, i + size).filter((b): b is Figures => b !== null);
    merged.push(known.length ? { completed: sum(known, 'completed'), failed: sum(known, 'failed') } : null);
  }
  return merged;
}

/** Adds up the buckets of several profiles; null if none is known. */
export function addUp(histories: (Figures | null)[][]): (Figures | null)[] {
  const longest = Math.max(0, ...histories.map((buckets) => buckets.length));
  return Array.from({ length: longest }, (_, i) => {
    const known = histories.map((buckets) => buckets[i] ?? null).filter((b): b is Figures => b !== null);
    if (!known.length) return null;
    return { ...known[0]!, completed: sum(known, 'completed'), failed: sum(known, 'failed') };
  });
}

/** The share of finished tasks that were completed, in percent. */
export function successOf(counts: Counts): number | null {
  const all = counts.completed + counts.failed;
  return all ? (100 * counts.completed) / all : null;
}

/** The change in percent; null without previous data. */
export function change(value: number | null, before: number | null): number | null {
  if (value === null || before === null || before === 0) return null;
  return (100 * (value - before)) / before;
}

export const needsAttention = (view: ProfileView): boolean =>
  view.state.isActive && view.state.health !== 'healthy';
