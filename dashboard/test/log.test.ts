import { expect, test } from 'vitest';
import type { LogEntry } from '../src/api';
import { joined, plain } from '../src/pages/tasks/log';

const entry = (stream: LogEntry['stream'], text: string, continues?: true): LogEntry =>
  ({ at: '2026-01-01T00:00:00.000Z', stream, text, ...(continues && { continues }) });
const texts = (entries: LogEntry[]) => entries.map(({ stream, text }) => `${stream}: ${text}`);

test('an entry that goes on with a line is joined to it, over pages and streams', () => {
  const first = joined([], [entry('stdout', 'Password: '), entry('stderr', 'half')]);
  const second = joined(first, [entry('stdout', 'sec', true), entry('stdout', 'ret', true), entry('stdout', 'next'),
    entry('stderr', ' whole', true)]);
  expect(texts(first)).toEqual(['stdout: Password: ', 'stderr: half']);
  expect(texts(second)).toEqual(['stdout: Password: secret', 'stderr: half whole', 'stdout: next']);
});

test('one whose beginning is not shown any more, or is long, stands for itself', () => {
  expect(texts(joined([entry('stderr', 'x')], [entry('stdout', 'y', true)]))).toEqual(['stderr: x', 'stdout: y']);
  expect(joined([entry('stdout', 'x'.repeat(65530))], [entry('stdout', 'y'.repeat(7), true)])).toHaveLength(2);
});

test('colours and titles of a terminal are not shown', () => {
  expect(plain('\x1b[31merror:\x1b[0m it \x1b]0;title\x07broke\x1b[2K [31m')).toBe('error: it broke [31m');
});
