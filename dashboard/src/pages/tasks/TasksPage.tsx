import { useEffect, useState } from 'preact/hooks';
import { api, type Status, type Task } from '../../api';
import { Blank } from '../../components/Blank';
import { Icon } from '../../components/Icon';
import { PriorityMark, Swatch, When } from '../../components/marks';
import { PageHead } from '../../components/PageHead';
import { StatusPill } from '../../components/Pill';
import { SkeletonRows } from '../../components/Skeleton';
import { duration, parse } from '../../format';
import { go, selected, statusFilter, withParams } from '../../router';
import { assigning, attempt, colorOf, isAway, isFleet, now, profiles, roleOf } from '../../store';
import { useLive } from '../../useLive';
import { reasonWords, statusWords } from '../../words';
import { extended, refreshed, type TaskList } from './list';

const PAGE = 50;
const REFRESH_MAX = 1000; // the daemon's maximum

/** The matching tasks, kept up to date. */
function useTasks(profile: string | null, status: Status | null) {
  const key = `tasks ${profile} ${status}`;
  const [list, setList] = useState<{ key: string; list: TaskList } | null>(null);
  const known = list?.key === key ? list.list : null;
  const limit = Math.min(REFRESH_MAX, Math.max(PAGE, known?.tasks.length ?? 0));
  const { data, error } = useLive(key, () => api.tasks({ profile, status, limit }));
  useEffect(() => {
    if (data) setList((old) => ({ key, list: refreshed(old?.key === key ? old.list : null, data) }));
  }, [key, data]);
  const loadMore = () => attempt(async () => {
    const page = await api.tasks({ profile, status, limit: PAGE, before: known!.next });
    setList((old) => (old?.key === key ? { key, list: extended(old.list, page) } : old));
  });
  return { list: known, loadMore, error };
}

function Filters() {
  const set = (name: string) => (event: Event) =>
    go(withParams({ [name]: (event.currentTarget as HTMLSelectElement).value || null }), { replace: true });
  return (
    <>
      <label>
        <span class="sr-only">Status</span>
        <select class="select" value={statusFilter.value ?? ''} onChange={set('status')}>
          <option value="">Any status</option>
          {Object.entries(statusWords).map(([key, word]) => <option key={key} value={key}>{word}</option>)}
        </select>
      </label>
      <label>
        <span class="sr-only">Profile</span>
        <select class="select" value={selected.value ?? ''} onChange={set('profile')}>
          <option value="">Any profile</option>
          {(profiles.value ?? []).map(({ profile }) => <option key={profile.name} value={profile.name}>{profile.role}</option>)}
        </select>
      </label>
      <button type="button" class="button is-primary" disabled={isAway.value} onClick={() => (assigning.value = '')}>
        <Icon name="plus" size={14} />Assign task
      </button>
    </>
  );
}

/** How long it ran, or why it waits. */
function Progress({ task }: { task: Task }) {
  if (task.pending) return <span class="muted">{reasonWords[task.pending.reason]}</span>;
  if (task.status === 'running') return <>{duration((now.value - parse(task.startedAt!)) / 1000)}</>;
  if (task.error) return <span class="muted error-text" title={task.error.message}>{task.error.message}</span>;
  if (task.startedAt && task.finishedAt) return <>{duration((parse(task.finishedAt) - parse(task.startedAt)) / 1000)}</>;
  return null;
}

function Row({ task }: { task: Task }) {
  return (
    <tr>
      <td class="number muted narrow">#{task.id}</td>
      <th scope="row">
        <span class="who"><PriorityMark priority={task.priority} /><a class="title-link" href={`/tasks/${task.id}`}>{task.title}</a></span>
      </th>
      <td><StatusPill status={task.status} /></td>
      <td class="is-optional"><span class="who"><Swatch color={colorOf(task.profile)} />{roleOf(task.profile)}</span></td>
      {isFleet.value && <td class="is-optional node" title={task.node ?? undefined}>{task.node}</td>}
      <td class="is-optional muted">{task.type}</td>
      <td class="is-optional"><Progress task={task} /></td>
      <td class="number"><When at={task.finishedAt ?? task.startedAt ?? task.createdAt} /></td>
    </tr>
  );
}

export function TasksPage() {
  const { list, loadMore, error } = useTasks(selected.value, statusFilter.value);
  const [isLoading, setLoading] = useState(false);
  const more = async () => {
    setLoading(true);
    await loadMore();
    setLoading(false);
  };
  if (error && !error.isAway)
    return <><PageHead title="Tasks"><Filters /></PageHead><Blank icon="warn" title="Cannot list tasks" isBad><p>{error.message}</p></Blank></>;
  return (
    <>
      <PageHead title="Tasks"><Filters /></PageHead>
      {!list ? <SkeletonRows label="Loading tasks" rows={10} /> : !list.tasks.length && list.next === null ? (
        <Blank icon="inbox" title="No tasks">
          <p>{selected.value || statusFilter.value ? 'No task matches these filters.' : 'Assign one here, or submit one through the socket or the REST API.'}</p>
        </Blank>
      ) : (
        <div class="card table-wrap" tabIndex={0} role="region" aria-label="Tasks">
          <table class="grid tasks">
            <thead>
              <tr>
                <th scope="col" class="number">Id</th>
                <th scope="col">Task</th>
                <th scope="col">Status</th>
                <th scope="col" class="is-optional">Profile</th>
                {isFleet.value && <th scope="col" class="is-optional node">Node</th>}
                <th scope="col" class="is-optional">Type</th>
                <th scope="col" class="is-optional">Progress</th>
                <th scope="col" class="number">Changed</th>
              </tr>
            </thead>
            <tbody>{list.tasks.map((task) => <Row key={task.id} task={task} />)}</tbody>
          </table>
          {list.next !== null && (
            <p class="card-foot">
              <button type="button" class="button is-small" disabled={isLoading} onClick={() => void more()}>
                {isLoading ? 'Loading…' : 'Older tasks'}
              </button>
            </p>
          )}
        </div>
      )}
    </>
  );
}
