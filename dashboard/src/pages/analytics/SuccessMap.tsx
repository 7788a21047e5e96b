import { HeatMap } from '../../charts/HeatMap';
import { merge } from '../../figures';
import { rangeWords } from '../../words';
import { timesOf, type Analytics } from './AnalyticsPage';

const CELLS = { '1h': 30, '24h': 48, '7d': 56 };

export function SuccessMap({ analytics: { range, whole, parts } }: { analytics: Analytics }) {
  const cells = CELLS[range];
  const size = Math.ceil(whole.buckets.length / cells);
  const times = timesOf(whole).filter((_, i) => i % size === 0);
  const rows = parts.map(({ view, history }) => ({ name: view.profile.role, cells: merge(history.buckets, cells) }));
  return (
    <section class="card chart-card">
      <header><h2>Success rate <span class="muted">by profile</span></h2></header>
      <HeatMap label={`Success rate by profile, ${rangeWords[range]}`} rows={rows} times={times} />
    </section>
  );
}
