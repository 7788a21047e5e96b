import { describe, expect, it } from 'vitest';
import { count, duration, money, percent, plural, relative } from '../src/format';

describe('durations', () => {
  it.each([
    [null, '–'], [0, '0s'], [0.004, '<0.1s'], [0.43, '0.4s'], [1.04, '1s'], [5.56, '5.6s'], [9.96, '10s'],
    [47.4, '47s'], [59.6, '1m 00s'], [125, '2m 05s'], [3599.6, '1h 00m'], [11220, '3h 07m'], [187200, '2d 4h'],
  ])('%s is %s', (seconds, text) => expect(duration(seconds)).toBe(text));
});

describe('percent', () => {
  it.each([
    [null, '–'], [100, '100%'], [0, '0%'], [98.12, '98.1%'], [50, '50%'],
    [99.99, '99.9%'], // almost all is not all
    [0.01, '0.1%'], // and almost none is not none
  ])('%s is %s', (value, text) => expect(percent(value)).toBe(text));
});

describe('counts', () => {
  it.each([[0, '0'], [7.25, '7.3'], [1234, '1,234'], [12345, '12.3k'], [10000, '10k'], [1234567, '1.2M']])(
    '%s is %s', (value, text) => expect(count(value)).toBe(text));

  it('has a plural', () => {
    expect(plural(1, 'task')).toBe('1 task');
    expect(plural(0, 'task')).toBe('0 tasks');
    expect(plural(2, 'waiting', 'waiting')).toBe('2 waiting');
  });
});

describe('moments', () => {
  const now = 1_000_000_000;
  it.each([
    [0, 'now'], [1400, 'now'], [30_000, '30s ago'], [3_599_000, '59m ago'], [7_200_000, '2h ago'],
    [172_800_000, '2d ago'], [-5_000, 'in 5s'], [-7_200_000, 'in 2h'],
  ])('%s ms before is %s', (ms, text) => expect(relative(now - ms, now)).toBe(text));
});

describe('money', () => {
  it('is in its currency', () => expect(money(1.5, 'USD')).toBe('$1.50'));
  it('is told in any currency', () => expect(money(1.5, 'credits')).toBe('1.50 credits'));
});
