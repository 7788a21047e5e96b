import type { History, ProfileView } from '../../api';
import { Bar, Swatch } from '../../components/marks';
import { HealthPill } from '../../components/Pill';
import { Spark } from '../../components/Spark';
import { successOf } from '../../figures';
import { count, duration, percent } from '../../format';
import { rangeWords } from '../../words';
import type { Analytics } from './AnalyticsPage';

function Row({ view, history }: { view: ProfileView; history: History }) {
  const { profile, state } = view;
  const { total } = history;
  const success = successOf(total);
  const tone = success === null || success >= 95 ? 'ok' : success < 80 ? 'bad' : 'warn';
  return (
    <tr class={state.isActive ? '' : 'is-dim'}>
      <th scope="row">
        <a class="who plain" href={`/profiles?profile=${profile.name}`}>
          <Swatch color={profile.color} isOff={!state.isActive} />{profile.role}
        </a>
      </th>
      <td><HealthPill health={state.health} reason={state.healthReason} /></td>
      <td class="narrow">
        <Spark buckets={history.buckets} bars={48} width={150}
          label={`${profile.role}: ${total.completed} completed, ${total.failed} failed`} />
      </td>
      <td class="number">{count(total.completed)}</td>
      <td class="number">{count(total.failed)}</td>
      <td class="number">{count(total.retried)}</td>
      <td>
        {success === null ? <span class="muted">no data</span>
          : <span class="meter"><Bar share={success / 100} tone={tone} /><span>{percent(success)}</span></span>}
      </td>
      <td class="number">{duration(total.averageTaskDuration)}</td>
      <td class="number">{duration(total.p95TaskDuration)}</td>
      <td class="number">{duration(total.queueWaitTime)}</td>
      <td class="number">{count(total.maxQueueSize)}</td>
    </tr>
  );
}

export function PerProfile({ analytics: { range, parts } }: { analytics: Analytics }) {
  return (
    <section class="card table-wrap" tabIndex={0} role="region" aria-label="Metrics by profile">
      <table class="grid">
        <caption>By profile, {rangeWords[range]}</caption>
        <thead>
          <tr>
            <th scope="col">Profile</th>
            <th scope="col">Health</th>
            <th scope="col">Tasks</th>
            <th scope="col" class="number">Completed</th>
            <th scope="col" class="number">Failed</th>
            <th scope="col" class="number">Retried</th>
            <th scope="col">Success</th>
            <th scope="col" class="number">Avg time</th>
            <th scope="col" class="number">p95</th>
            <th scope="col" class="number">Queue wait</th>
            <th scope="col" class="number">Longest queue</th>
          </tr>
        </thead>
        <tbody>{parts.map((part) => <Row key={part.view.profile.name} {...part} />)}</tbody>
      </table>
    </section>
  );
}
