import { useEffect, useRef } from 'preact/hooks';
import { api, type ProfileView, type Task } from '../../api';
import { Icon } from '../../components/Icon';
import { PriorityMark, Swatch, When } from '../../components/marks';
import { HealthPill, StatusPill } from '../../components/Pill';
import { count, duration, money, plural } from '../../format';
import { assigning, isAway, rowButton, running, select, setActive } from '../../store';
import { useLive } from '../../useLive';
import { QueueItem } from './QueueItem';
import { runOf } from './RunningNow';

const SHOWN = 5;
const QUEUE = 20;

function RunningItem({ task }: { task: Task }) {
  const { elapsed, times } = runOf(task);
  const isOver = times !== null && times > 1.5;
  return (
    <li class="item">
      <div class="item-line">
        <PriorityMark priority={task.priority} />
        <a class="title-link" href={`/tasks/${task.id}`}>{task.title}</a>
        <span class={`item-time ${isOver ? 'is-warn' : ''}`}>{duration(elapsed)}</span>
      </div>
      <div class="item-more">
        <span>#{task.id}</span>
        {task.type && <span>{task.type}</span>}
        {task.attempt > 1 && <span class="is-warn">attempt {task.attempt}</span>}
      </div>
      {times !== null && (
        <div class="progress" aria-hidden="true">
          <i class={isOver ? 'is-over' : ''} style={{ width: `${Math.min(100, (100 * times) / 1.5)}%` }} />
        </div>
      )}
    </li>
  );
}

function FinishedItem({ task }: { task: Task }) {
  return (
    <li class="item">
      <div class="item-line">
        <StatusPill status={task.status} />
        <a class="title-link" href={`/tasks/${task.id}`}>{task.title}</a>
        <span class="item-time"><When at={task.finishedAt} /></span>
      </div>
    </li>
  );
}

function Section(props: { title: string; count: string; items: preact.ComponentChildren[]; none: string; more?: preact.ComponentChildren }) {
  return (
    <section>
      <h3>{props.title} <span class="muted">{props.count}</span></h3>
      {props.items.length ? <ul>{props.items}</ul> : <p class="sub">{props.none}</p>}
      {props.more}
    </section>
  );
}

function Facts({ view }: { view: ProfileView }) {
  const { profile, metrics } = view;
  const { slots, maxConcurrentTasks: most, maxConcurrentTasksPerNode: perNode } = profile;
  const facts: [string, preact.ComponentChildren][] = [
    ['Runner', profile.runner.type],
    ['Slots', slots < Math.min(most, perNode || most) ? `${slots} of ${most} for now` : most],
    ['Queue limit', `${count(profile.queueLimit)}, then ${profile.overflow}`],
    ['Timeout', duration(profile.timeout)],
    ['Attempts', `${profile.retry.maxAttempts} at most`],
    ['Priority', `${profile.priority} of 10`],
  ];
  if (perNode) facts.push(['Slots per node', perNode]);
  if (profile.nodes.length) facts.push(['Nodes', profile.nodes.join(', ')]);
  if (metrics.cost) facts.push(['Cost, 1 h', `${money(metrics.cost.amount, metrics.cost.currency)}, reported by the agent`]);
  return <dl class="facts">{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>;
}

/** A panel that overlays the page takes the focus and returns it to the row that opened it. */
function useFocus(name: string) {
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    const { current } = panel;
    if (getComputedStyle(current!).position === 'fixed') current!.querySelector('h2')!.focus();
    return () => {
      if (current!.contains(document.activeElement)) rowButton(name)?.focus();
    };
  }, []);
  return panel;
}

/** One profile: what is happening, and the possible actions. */
export function ProfilePanel({ view }: { view: ProfileView }) {
  const { profile, state } = view;
  const { data: queue } = useLive(`queue ${profile.name}`, () => api.queue(profile.name, QUEUE));
  const { data: recent } = useLive(`recent ${profile.name}`, () => api.tasks({ profile: profile.name, limit: 30 }));
  const panel = useFocus(profile.name);
  const mine = running.value.filter((task) => task.profile === profile.name);
  const finished = (recent?.tasks ?? []).filter((task) => task.finishedAt !== null)
    .sort((a, b) => b.finishedAt!.localeCompare(a.finishedAt!)).slice(0, SHOWN);
  const waiting = queue ?? [];
  return (
    <aside class="card panel" ref={panel} aria-label={`${profile.role}: details`}>
      <header>
        <Swatch color={profile.color} isOff={!state.isActive} />
        <h2 tabIndex={-1}>{profile.role}</h2>
        <button type="button" class="icon-button" aria-label="Close details" onClick={() => select(null)}>
          <Icon name="x" />
        </button>
      </header>
      <div class="panel-body">
        <p class="panel-health">
          <HealthPill health={state.health} />
          <span>{state.healthReason ?? (state.isActive ? 'no problems' : 'starts no tasks until it is enabled')}</span>
        </p>
        <div class="panel-buttons">
          <button type="button" class="button is-primary" disabled={isAway.value || profile.isRemoved}
            onClick={() => (assigning.value = profile.name)}>
            <Icon name="plus" size={14} />Assign task
          </button>
          <button type="button" class="button" disabled={isAway.value || profile.isRemoved}
            onClick={() => void setActive(view, !state.isActive)}>
            <Icon name={state.isActive ? 'pause' : 'play'} size={14} />{state.isActive ? 'Disable' : 'Enable'}
          </button>
        </div>
        <Section title="Running" count={`${state.currentTasks} of ${profile.maxConcurrentTasks}`}
          items={mine.slice(0, SHOWN).map((task) => <RunningItem key={task.id} task={task} />)}
          none={state.isActive ? 'No running tasks.' : 'Disabled. No running tasks.'}
          more={mine.length > SHOWN && <p class="sub"><a href={`/tasks?profile=${profile.name}&status=running`}>{mine.length - SHOWN} more</a></p>} />
        <Section title="Queue" count={`${count(state.queueSize)} of ${count(profile.queueLimit)}`}
          items={waiting.map((task) => <QueueItem key={task.id} task={task} />)}
          none="No waiting tasks."
          more={state.queueSize > waiting.length && waiting.length > 0 &&
            <p class="sub">and {plural(state.queueSize - waiting.length, 'more task')}</p>} />
        <Section title="Recently finished" count=""
          items={finished.map((task) => <FinishedItem key={task.id} task={task} />)}
          none="None yet."
          more={<p class="sub"><a href={`/tasks?profile=${profile.name}`}>All tasks of this profile</a></p>} />
        <h3>Capabilities</h3>
        <div class="chips can-wrap">
          {profile.capabilities.length ? profile.capabilities.map((word) => <span key={word}>{word}</span>)
            : <span>{profile.name}</span>}
        </div>
        <h3>Limits</h3>
        <Facts view={view} />
      </div>
    </aside>
  );
}
