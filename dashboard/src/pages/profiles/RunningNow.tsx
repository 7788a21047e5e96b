import type { ProfileView, Task } from '../../api';
import { Bar, PriorityMark, Swatch } from '../../components/marks';
import { duration, parse } from '../../format';
import { now, profiles, running } from '../../store';

const SHOWN = 8;
const OVER = 1.5; // times the average duration; highlighted beyond

interface Run {
  task: Task;
  view: ProfileView | undefined;
  elapsed: number;
  times: number | null; // the profile's average
}

export function runOf(task: Task): Run {
  const view = profiles.value?.find((v) => v.profile.name === task.profile);
  const elapsed = Math.max(0, (now.value - parse(task.startedAt ?? task.createdAt)) / 1000);
  const average = view?.state.averageProcessingTime ?? 0;
  return { task, view, elapsed, times: average > 0 ? elapsed / average : null };
}

function AgainstAverage({ times }: { times: number | null }) {
  if (times === null) return <span class="muted">no average yet</span>;
  return (
    <span class="meter">
      <Bar share={times / 2} tone={times > OVER ? 'warn' : ''} />
      <span class="muted">{times < 9.95 ? times.toFixed(1) : Math.round(times)}×</span>
    </span>
  );
}

function Row({ run }: { run: Run }) {
  const { task, view } = run;
  const most = task.maxAttempts ?? view?.profile.retry.maxAttempts;
  return (
    <tr>
      <th scope="row">
        <div class="who">
          <PriorityMark priority={task.priority} />
          <a class="title-link" href={`/tasks/${task.id}`}>{task.title}</a>
          <span class="muted">#{task.id}</span>
        </div>
      </th>
      <td>
        <span class="who"><Swatch color={view?.profile.color ?? 'var(--fg-4)'} />{view?.profile.role ?? task.profile}</span>
      </td>
      <td class="muted is-optional">{task.type}</td>
      <td class={`is-optional ${task.attempt > 1 ? 'is-warn' : 'muted'}`}>
        {task.attempt}{most ? ` of ${most}` : ''}
      </td>
      <td class="number">{duration(run.elapsed)}</td>
      <td class="is-optional"><AgainstAverage times={run.times} /></td>
    </tr>
  );
}

export function RunningNow() {
  const runs = running.value.map(runOf).sort((a, b) => (b.times ?? 0) - (a.times ?? 0));
  if (!runs.length) return null;
  return (
    <section class="card table-wrap" tabIndex={0} role="region" aria-label="Running tasks">
      <table class="grid running">
        <caption>Running now <span class="muted">{runs.length}, longest relative to the profile's average first</span></caption>
        <thead>
          <tr>
            <th scope="col">Task</th>
            <th scope="col">Profile</th>
            <th scope="col" class="is-optional">Type</th>
            <th scope="col" class="is-optional">Attempt</th>
            <th scope="col" class="number">Elapsed</th>
            <th scope="col" class="is-optional">vs average</th>
          </tr>
        </thead>
        <tbody>{runs.slice(0, SHOWN).map((run) => <Row key={run.task.id} run={run} />)}</tbody>
      </table>
      {runs.length > SHOWN && (
        <p class="card-foot"><a href="/tasks?status=running">{runs.length - SHOWN} more</a></p>
      )}
    </section>
  );
}
