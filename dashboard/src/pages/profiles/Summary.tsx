import type { ProfileView } from '../../api';
import { Bar } from '../../components/marks';
import { Spark } from '../../components/Spark';
import { Stat } from '../../components/Stat';
import { addUp, successOf } from '../../figures';
import { count, duration, percent } from '../../format';
import { histories } from '../../store';

const sum = (views: ProfileView[], value: (view: ProfileView) => number): number =>
  views.reduce((total, view) => total + value(view), 0);

export function Summary({ views }: { views: ProfileView[] }) {
  const active = views.filter((view) => view.state.isActive);
  const running = sum(views, (view) => view.state.currentTasks);
  const slots = sum(active, (view) => view.profile.maxConcurrentTasks);
  const queued = sum(views, (view) => view.state.queueSize);
  const oldest = Math.max(0, ...views.map((view) => view.state.oldestQueuedAge ?? 0));
  const known = views.map((view) => histories.value[view.profile.name]).filter((history) => !!history);
  const counts = {
    completed: known.reduce((total, history) => total + history.total.completed, 0),
    failed: known.reduce((total, history) => total + history.total.failed, 0),
  };
  const finished = counts.completed + counts.failed;
  const off = views.length - active.length;
  return (
    <dl class="card stats" aria-label="Summary of the last hour">
      <Stat name="Profiles active" value={<>{active.length}<span class="muted">/{views.length}</span></>}>
        <span class="sub">{off ? `${off} disabled` : 'all enabled'}</span>
      </Stat>
      <Stat name="Running" value={<>{count(running)}<span class="muted">/{count(slots)}</span></>}>
        <Bar share={running / Math.max(1, slots)} />
      </Stat>
      <Stat name="Waiting" value={count(queued)}>
        <span class="sub">{oldest ? `oldest ${duration(oldest)}` : queued ? 'none ready yet' : 'none waiting'}</span>
      </Stat>
      <Stat name="Success, 1 h" value={percent(successOf(counts))}>
        <span class="sub">
          {finished
            ? <><span class={counts.failed ? 'is-bad' : ''}>{count(counts.failed)} failed</span> of {count(finished)}</>
            : 'no data'}
        </span>
      </Stat>
      <Stat name="Throughput, 1 h" value={<>{count(finished)}<span class="unit">/h</span></>}>
        <Spark buckets={addUp(known.map((history) => history.buckets))} width={150} height={30}
          label={`Finished tasks over the last hour: ${counts.completed} completed, ${counts.failed} failed`} />
      </Stat>
    </dl>
  );
}
