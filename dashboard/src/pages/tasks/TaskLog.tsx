import { useEffect, useRef, useState } from 'preact/hooks';
import { api, type ApiError, type LogEntry, type LogPage, type Task } from '../../api';
import { clock, exact, parse, plural } from '../../format';
import { pulse, wrote } from '../../store';
import { joined, plain } from './log';

const KEPT = 5000; // entries shown; the beginning of a longer log is dropped

interface Log {
  attempt: number;
  entries: LogEntry[];
  next: number;
  isCut: boolean;
  isRead: boolean; // to its end, at least once
  dropped: number;
  missing: string | null; // why there is none here: another node has it
}

const emptyLog = (attempt: number): Log => ({ attempt, entries: [], next: 0, isCut: false, isRead: false, dropped: 0, missing: null });

function append(log: Log, page: LogPage): Log {
  const entries = joined(log.entries, page.entries);
  const extra = Math.max(0, entries.length - KEPT);
  return { ...log, entries: entries.slice(extra), next: page.next, isCut: page.truncated, missing: null, dropped: log.dropped + extra };
}

/** The log of one attempt, followed as it grows. */
function useLog(id: number, attempt: number): Log {
  const [log, setLog] = useState(emptyLog(attempt));
  const reader = useRef({ log, isReading: false });
  if (reader.current.log.attempt !== attempt) reader.current = { log: emptyLog(attempt), isReading: false };
  const beat = pulse.value + wrote.value;

  useEffect(() => {
    const mine = reader.current;
    const read = async () => {
      for (;;) {
        const page = await api.log(id, attempt, mine.log.next);
        if (reader.current !== mine) return; // another attempt was chosen
        mine.log = { ...append(mine.log, page), isRead: mine.log.isRead || !page.entries.length };
        setLog(mine.log);
        if (!page.entries.length) return;
      }
    };
    const explain = (error: ApiError) => {
      if (error.status !== 404 || reader.current !== mine) return;
      mine.log = { ...emptyLog(attempt), missing: error.message };
      setLog(mine.log);
    };
    if (!attempt || mine.isReading) return;
    mine.isReading = true;
    // The next pulse retries.
    read().catch(explain).finally(() => (mine.isReading = false));
  }, [id, attempt, beat]);
  return log.attempt === attempt ? log : reader.current.log;
}

/** Marks updates of sessions other than the task's. */
const streamWords = ({ stream, update }: LogEntry) =>
  stream === 'other-session' ? 'other session'
    : typeof update?.sessionUpdate === 'string' ? update.sessionUpdate.replace(/_chunk$/, '').replaceAll('_', ' ')
      : stream;

function Entry({ entry }: { entry: LogEntry }) {
  const at = parse(entry.at);
  return (
    <li class={`log-entry ${entry.stream}`}>
      <time dateTime={entry.at} title={exact(at)}>{clock(at)}:{String(new Date(at).getSeconds()).padStart(2, '0')}</time>
      <span class="log-stream">{streamWords(entry)}</span>
      <span class="log-text">{plain(entry.text)}{(entry.truncated || entry.update?.truncated) && <span class="muted"> … (cut)</span>}</span>
    </li>
  );
}

/** The daemon's words, with the address of the node that has the log as a link to the task there. */
function Missing({ task, words }: { task: Task; words: string }) {
  const sentence = words.charAt(0).toUpperCase() + words.slice(1);
  const [text, address] = sentence.split(/(?=https?:)/);
  const there = address && `${address.replace(/\/$/, '')}/tasks/${task.id}`;
  return <p class="card-text sub">{text}{there ? <a href={there}>{there}</a> : '.'}</p>;
}

export function TaskLog({ task }: { task: Task }) {
  const [chosen, setChosen] = useState<number | null>(null);
  const [follows, setFollows] = useState(true);
  const box = useRef<HTMLOListElement>(null);
  const attempt = chosen ?? task.attempt;
  const log = useLog(task.id, attempt);

  useEffect(() => {
    if (follows && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [log, follows]);
  // Stops following when the user scrolls up, resumes at the end.
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current!;
    setFollows(scrollHeight - scrollTop - clientHeight < 24);
  };

  if (!task.attempt) return null;
  return (
    <section class="card log-card">
      <header>
        <h2>Log</h2>
        {task.attempt > 1 && (
          <label>
            <span class="sr-only">Attempt</span>
            <select class="select is-small" value={attempt} onChange={(e) => setChosen(Number(e.currentTarget.value))}>
              {Array.from({ length: Math.min(task.attempt, 50) }, (_, i) => task.attempt - i).map((n) => (
                <option key={n} value={n}>Attempt {n}</option>
              ))}
            </select>
          </label>
        )}
        <label class="follow">
          <input type="checkbox" checked={follows} onChange={(e) => setFollows(e.currentTarget.checked)} /> Follow
        </label>
      </header>
      {log.dropped > 0 && <p class="card-text sub">{plural(log.dropped, 'earlier entry is', 'earlier entries are')} not shown.</p>}
      {log.entries.length ? (
        <ol class="log" ref={box} tabIndex={0} aria-label="Log entries" onScroll={onScroll}>
          {log.entries.map((entry, i) => <Entry key={log.dropped + i} entry={entry} />)}
        </ol>
      ) : log.missing ? <Missing task={task} words={log.missing} />
        : <p class="card-text sub">{log.isRead ? 'Nothing has been written yet.' : 'Loading…'}</p>}
      {log.isCut && <p class="card-foot">The log reached its limit; later output was dropped.</p>}
    </section>
  );
}
