import { useMemo } from 'preact/hooks';
import { Legend } from '../../charts/Legend';
import { TimeChart, type Series } from '../../charts/TimeChart';
import { duration } from '../../format';
import { rangeWords } from '../../words';
import { timesOf, type Analytics } from './AnalyticsPage';

export function WaitChart({ analytics: { range, whole, parts } }: { analytics: Analytics }) {
  const { times, isKnown, series } = useMemo(() => {
    const series = parts.map(({ view, history }): Series => ({
      label: view.profile.role,
      color: view.profile.color,
      values: history.buckets.map((bucket) => bucket?.queueWaitTime ?? null),
    }));
    return { times: timesOf(whole), isKnown: whole.buckets.map((bucket) => bucket !== null), series };
  }, [parts]);
  return (
    <section class="card chart-card">
      <header>
        <h2>Queue wait</h2>
        <Legend series={series} isLine />
      </header>
      <TimeChart label={`Average wait in the queue by profile, ${rangeWords[range]}`} times={times} isKnown={isKnown}
        series={series} format={duration} height={188} hasDays={range === '7d'} />
    </section>
  );
}
