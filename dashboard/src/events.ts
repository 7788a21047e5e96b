// Server-Sent Events over fetch(), which, unlike EventSource, can send a token and reports errors.
import { authorization } from './api';

export interface ServerEvent {
  type: string;
  id: string;
  data: string;
}

/** Parses chunks of text and calls back with each event (HTML Standard, section 9.2.6). */
export function eventParser(take: (event: ServerEvent) => void): (text: string) => void {
  let rest = '';
  let id = '';
  let type = '';
  let data: string[] = [];

  function line(text: string): void {
    if (text === '') {
      if (data.length) take({ type: type || 'message', id, data: data.join('\n') });
      type = '';
      data = [];
      return;
    }
    const colon = text.indexOf(':');
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? '' : text.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') data.push(value);
    else if (field === 'event') type = value;
    else if (field === 'id') id = value;
  }

  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const each of lines) line(each.replace(/\r$/, ''));
  };
}

/** Reads the stream until it ends or is aborted. `after` is the id of the last event seen. */
export async function readEvents(
  after: string,
  take: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const response = await fetch('/api/events', {
    headers: { ...authorization(), Accept: 'text/event-stream', ...(after && { 'Last-Event-ID': after }) },
    signal,
  });
  if (!response.ok || !response.body) throw new Error(`the stream was rejected: ${response.status}`);
  const parse = eventParser(take);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    parse(value);
  }
}
