import { describe, expect, it } from 'vitest';
import type { Figures } from '../src/api';
import { addUp, change, merge, successOf } from '../src/figures';

const bucket = (completed: number, failed = 0): Figures => ({ completed, failed }) as Figures;

describe('merge', () => {
  it('adds neighbours up', () =>
    expect(merge([bucket(1), bucket(2, 1), bucket(3), bucket(4)], 2)).toEqual([
      { completed: 3, failed: 1 }, { completed: 7, failed: 0 }]));
  it('is a gap only where nothing is known', () =>
    expect(merge([null, null, null, bucket(0)], 2)).toEqual([null, { completed: 0, failed: 0 }]));
  it('never makes more groups than asked for', () => expect(merge(Array(61).fill(bucket(1)), 30)).toHaveLength(21));
  it('takes nothing', () => expect(merge([], 30)).toEqual([]));
});

describe('addUp', () => {
  it('adds profiles up, gaps left out', () =>
    expect(addUp([[bucket(1), null], [bucket(2, 3), null]])).toMatchObject([{ completed: 3, failed: 3 }, null]));
  it('takes histories of different length', () => expect(addUp([[bucket(1)], [bucket(1), bucket(2)]])).toHaveLength(2));
});

describe('rates', () => {
  it('has no rate without a sample', () => expect(successOf({ completed: 0, failed: 0 })).toBeNull());
  it('is a share', () => expect(successOf({ completed: 3, failed: 1 })).toBe(75));
  it('compares', () => {
    expect(change(110, 100)).toBeCloseTo(10);
    expect(change(5, 0)).toBeNull();
    expect(change(null, 5)).toBeNull();
  });
});
