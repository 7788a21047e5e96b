import { expect, it } from 'vitest';
import { eventParser, type ServerEvent } from '../src/events';

function parse(...pieces: string[]): ServerEvent[] {
  const seen: ServerEvent[] = [];
  const take = eventParser((event) => seen.push(event));
  pieces.forEach(take);
  return seen;
}

it('reads events, however they are cut', () => {
  const text = 'retry: 2000\n\nid: 7\nevent: task\ndata: {"id":1}\n\n: still here\n\nevent: down\ndata: {}\n\n';
  const whole = parse(text);
  expect(whole).toEqual([
    { type: 'task', id: '7', data: '{"id":1}' },
    { type: 'down', id: '7', data: '{}' }, // the last id stays
  ]);
  expect(parse(...text)).toEqual(whole);
});

it('joins lines of data and takes CRLF', () =>
  expect(parse('data: a\r\ndata:b\r\n\r\n')).toEqual([{ type: 'message', id: '', data: 'a\nb' }]));

it('keeps half an event back', () => expect(parse('data: a\n')).toEqual([]));
