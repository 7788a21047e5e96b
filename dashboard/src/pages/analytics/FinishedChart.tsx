import { useMemo } from 'preact/hooks';
import { Legend } from '../../charts/Legend';
import { TimeChart, type Series } from '../../charts/TimeChart';
import { count } from '../../format';
import { bucketWords, rangeWords } from '../../words';
import { timesOf, type Analytics } from './AnalyticsPage';

export function FinishedChart({ analytics: { range, whole } }: { analytics: Analytics }) {
  const { times, isKnown, series } = useMemo(() => {
    const values = (key: 'completed' | 'failed') => whole.buckets.map((bucket) => bucket?.[key] ?? null);
    const series: Series[] = [
      { label: 'Failed', color: 'var(--chart-bad)', values: values('failed') },
      { label: 'Completed', color: 'var(--chart-ok)', values: values('completed') },
    ];
    return { times: timesOf(whole), isKnown: whole.buckets.map((bucket) => bucket !== null), series };
  }, [whole]);
  const { completed, failed } = whole.total;
  return (
    <section class="card chart-card">
      <header>
        <h2>Finished tasks <span class="muted">per {bucketWords[range]}</span></h2>
        <Legend series={[...series].reverse()} />
      </header>
      <TimeChart label={`Finished tasks, ${rangeWords[range]}: ${completed} completed, ${failed} failed`}
        times={times} isKnown={isKnown} series={series} format={count} height={200} isStacked hasDays={range === '7d'} />
    </section>
  );
}
