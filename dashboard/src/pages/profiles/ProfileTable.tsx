import type { ProfileView } from '../../api';
import { Slots, Swatch, When } from '../../components/marks';
import { ActivityPill, HealthPill } from '../../components/Pill';
import { Spark } from '../../components/Spark';
import { Switch } from '../../components/Switch';
import { count, duration, NONE, percent } from '../../format';
import { histories, isAway, select, setActive } from '../../store';
import { selected } from '../../router';

const CHIPS = 3;

function Chips({ words }: { words: string[] }) {
  const more = words.slice(CHIPS);
  return (
    <div class="chips">
      {words.slice(0, CHIPS).map((word) => <span key={word}>{word}</span>)}
      {more.length > 0 && <span title={more.join(', ')}>+{more.length}</span>}
    </div>
  );
}

function QueueCell({ view }: { view: ProfileView }) {
  const { queueSize, isActive, oldestQueuedAge } = view.state;
  const { queueLimit } = view.profile;
  const words = !queueSize ? 'none waiting'
    : !isActive ? 'held'
    : oldestQueuedAge === null ? 'not ready yet'
    : `oldest ${duration(oldestQueuedAge)}`;
  return (
    <td class="number">
      <b class={queueSize > queueLimit / 2 ? 'is-warn' : ''}>{count(queueSize)}</b>
      <span class="muted">/{count(queueLimit)}</span>
      <div class="sub">{words}</div>
    </td>
  );
}

function successTone(rate: number | null): string {
  return rate === null || rate >= 95 ? '' : rate < 80 ? 'is-bad' : 'is-warn';
}

function SuccessCell({ view }: { view: ProfileView }) {
  const { sampleSize, successRate } = view.metrics;
  if (!sampleSize) return <td class="number"><span class="muted">{NONE}</span><div class="sub">no data</div></td>;
  const failed = Math.round((sampleSize * view.metrics.errorRate) / 100);
  return (
    <td class="number">
      <b class={successTone(successRate)}>{percent(successRate)}</b>
      <div class="sub">{count(failed)} failed</div>
    </td>
  );
}

function DurationCell({ view }: { view: ProfileView }) {
  const { sampleSize, averageTaskDuration, p95TaskDuration } = view.metrics;
  if (!sampleSize) return <td class="number is-optional"><span class="muted">{NONE}</span></td>;
  return (
    <td class="number is-optional">
      {duration(averageTaskDuration)}
      <div class="sub">p95 {duration(p95TaskDuration)}</div>
    </td>
  );
}

function Row({ view }: { view: ProfileView }) {
  const { profile, state, metrics } = view;
  const isSelected = selected.value === profile.name;
  const history = histories.value[profile.name];
  const toggle = () => select(isSelected ? null : profile.name);
  // A click anywhere on the row opens it, except on controls.
  const onRow = (event: MouseEvent) => {
    if (!(event.target as Element).closest('button')) toggle();
  };
  return (
    <tr class={`${isSelected ? 'is-selected' : ''} ${state.isActive ? '' : 'is-dim'}`} data-profile={profile.name}
      onClick={onRow}>
      <th scope="row">
        <div class="who">
          <Swatch color={profile.color} isOff={!state.isActive} />
          <div>
            <button type="button" class="text-button" aria-expanded={isSelected} onClick={toggle}>{profile.role}</button>
            {profile.role !== profile.name && <span class="sub name">{profile.name}</span>}
            <Chips words={profile.capabilities} />
          </div>
        </div>
      </th>
      <td class="status">
        <div class="pills">
          <ActivityPill view={view} />
          {state.health !== 'healthy' && <HealthPill health={state.health} reason={state.healthReason} />}
        </div>
        {state.healthReason && <div class="sub reason" title={state.healthReason}>{state.healthReason}</div>}
      </td>
      <td class="slots-cell"><Slots used={state.currentTasks} slots={profile.maxConcurrentTasks} /></td>
      <QueueCell view={view} />
      <td class="hour">
        <Spark buckets={history?.buckets ?? []}
          label={`${profile.role}, last hour: ${history?.total.completed ?? 0} completed, ${history?.total.failed ?? 0} failed`} />
        <div class="sub only-narrow">{count(metrics.throughput)}/h</div>
      </td>
      <SuccessCell view={view} />
      <DurationCell view={view} />
      <td class="number is-optional"><When at={state.lastActivity} /></td>
      <td class="number switch-cell">
        <Switch isOn={state.isActive} isDisabled={isAway.value || profile.isRemoved}
          label={`${profile.role} is active`} onToggle={() => void setActive(view, !state.isActive)} />
      </td>
    </tr>
  );
}

export function ProfileTable({ views, onClear }: { views: ProfileView[]; onClear: () => void }) {
  return (
    <div class="card table-wrap" tabIndex={0} role="region" aria-label="Profiles">
      <table class="grid profiles">
        <thead>
          <tr>
            <th scope="col">Profile</th>
            <th scope="col">Status</th>
            <th scope="col">Slots</th>
            <th scope="col" class="number">Queue</th>
            <th scope="col" class="hour">Last hour</th>
            <th scope="col" class="number">Success</th>
            <th scope="col" class="number is-optional">Avg time</th>
            <th scope="col" class="number is-optional">Last activity</th>
            <th scope="col" class="number">On</th>
          </tr>
        </thead>
        <tbody>{views.map((view) => <Row key={view.profile.name} view={view} />)}</tbody>
      </table>
      {!views.length && (
        <p class="no-match">
          No profile matches. <button type="button" class="text-button" onClick={onClear}>Clear filters</button>
        </p>
      )}
    </div>
  );
}
