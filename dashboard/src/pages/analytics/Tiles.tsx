import { Icon } from '../../components/Icon';
import { Stat } from '../../components/Stat';
import { change, successOf } from '../../figures';
import { count, duration, NONE, percent } from '../../format';
import { rangeWords } from '../../words';
import type { Analytics } from './AnalyticsPage';

const HOURS = { '1h': 1, '24h': 24, '7d': 168 };

/** Compared with the previous period. */
function Delta({ value, before, better }: { value: number | null; before: number | null; better: 'up' | 'down' }) {
  const percentage = change(value, before);
  if (percentage === null) return <span class="delta muted">no previous data</span>;
  if (Math.abs(percentage) < 0.05) return <span class="delta muted">no change</span>;
  const direction = percentage > 0 ? 'up' : 'down';
  return (
    <span class={`delta ${direction === better ? 'is-ok' : 'is-bad'}`}>
      <Icon name={direction} size={12} />
      {percent(Math.abs(percentage))}
      <span class="muted">vs previous</span>
    </span>
  );
}

export function Tiles({ analytics: { range, whole } }: { analytics: Analytics }) {
  const { total, previous } = whole;
  const finished = total.completed + total.failed;
  const before = previous.completed + previous.failed;
  const success = successOf(total);
  const perHour = finished / HOURS[range];
  const orNone = (value: number | null, format: (value: number) => string) =>
    value === null ? <span class="muted">{NONE}</span> : format(value);
  return (
    <dl class="card stats" aria-label={`All profiles, ${rangeWords[range]}`}>
      <Stat name="Throughput" value={<>{count(perHour)}<span class="unit">/h</span></>}>
        <Delta value={finished} before={before} better="up" />
      </Stat>
      <Stat name="Success rate" value={orNone(success, percent)}>
        <Delta value={success} before={successOf(previous)} better="up" />
      </Stat>
      <Stat name="Failed tasks" value={count(total.failed)}>
        <Delta value={total.failed} before={previous.failed} better="down" />
      </Stat>
      <Stat name="Avg task time" value={orNone(total.averageTaskDuration, duration)}>
        <Delta value={total.averageTaskDuration} before={previous.averageTaskDuration} better="down" />
      </Stat>
      <Stat name="Avg queue wait" value={orNone(total.queueWaitTime, duration)}>
        <Delta value={total.queueWaitTime} before={previous.queueWaitTime} better="down" />
      </Stat>
    </dl>
  );
}
