import { useState } from 'preact/hooks';
import { api, type Priority, type Task, type TaskChange } from '../../api';
import { PriorityMark } from '../../components/marks';
import { exact, parse, relative } from '../../format';
import { attempt, isAway, now, profiles, roleOf, toast } from '../../store';
import { priorityWords, reasonWords } from '../../words';

/** The expected start, or what is known of it. */
function Eta({ task }: { task: Task }) {
  const eta = task.pending?.eta;
  if (!eta) return null;
  return <time class="item-time" dateTime={eta} title={`expected to start ${exact(parse(eta))}`}>{relative(parse(eta), now.value)}</time>;
}

function Controls({ task }: { task: Task }) {
  const others = (profiles.value ?? []).filter((v) => v.profile.name !== task.profile && !v.profile.isRemoved);
  const change = async (what: TaskChange, done: string, back: TaskChange) => {
    if (await attempt(() => api.update(task.id, what)))
      toast.value = { text: `#${task.id} ${done}.`, undo: () => void attempt(() => api.update(task.id, back)) };
  };
  const setPriority = (priority: Priority) =>
    change({ priority }, `has ${priorityWords[priority]} priority`, { priority: task.priority });
  const move = (profile: string) => change({ profile }, `moved to ${roleOf(profile)}`, { profile: task.profile });
  const cancel = async () => {
    if (await attempt(() => api.cancel(task.id)))
      toast.value = { text: `#${task.id} cancelled.`, undo: () => void attempt(() => api.retry(task.id)) };
  };
  return (
    <div class="item-controls">
      <label>
        <span class="sr-only">Priority of #{task.id}</span>
        <select class="select is-small" value={task.priority} disabled={isAway.value}
          onChange={(e) => void setPriority(e.currentTarget.value as Priority)}>
          {Object.entries(priorityWords).map(([key, word]) => <option key={key} value={key}>{word} priority</option>)}
        </select>
      </label>
      {others.length > 0 && (
        <label>
          <span class="sr-only">Move #{task.id} to another profile</span>
          <select class="select is-small" value="" disabled={isAway.value}
            onChange={(e) => void move(e.currentTarget.value)}>
            <option value="">Move to…</option>
            {others.map((v) => <option key={v.profile.name} value={v.profile.name}>{v.profile.role}</option>)}
          </select>
        </label>
      )}
      {task.runAt && parse(task.runAt) > now.value && (
        <button type="button" class="button is-small" disabled={isAway.value} onClick={() => void change({ runAt: null }, 'will start as soon as possible', { runAt: task.runAt })}>Run now</button>
      )}
      <button type="button" class="button is-small is-danger" disabled={isAway.value} onClick={() => void cancel()}>Cancel</button>
    </div>
  );
}

/** A waiting task: why it waits, for how long, and the possible actions. */
export function QueueItem({ task }: { task: Task }) {
  const [isOpen, setOpen] = useState(false);
  const { pending } = task;
  const depends = pending?.reason === 'dependency'
    ? `waiting for ${task.dependsOn.map((id) => `#${id}`).join(', ')}` : null;
  return (
    <li class="item">
      <div class="item-line">
        <PriorityMark priority={task.priority} />
        <a class="title-link" href={`/tasks/${task.id}`}>{task.title}</a>
        <Eta task={task} />
        <button type="button" class="text-button item-menu" aria-expanded={isOpen}
          aria-label={`Change #${task.id} in the queue of ${roleOf(task.profile)}`} onClick={() => setOpen(!isOpen)}>⋯</button>
      </div>
      <div class="item-more">
        {pending?.position && <span>{pending.position}.</span>}
        <span>{depends ?? (pending ? reasonWords[pending.reason] : '')}</span>
      </div>
      {isOpen && <Controls task={task} />}
    </li>
  );
}
