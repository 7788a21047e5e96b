import { api, type History, type ProfileView, type Range } from '../../api';
import { Blank } from '../../components/Blank';
import { PageHead } from '../../components/PageHead';
import { Segmented } from '../../components/Segmented';
import { SkeletonRows, SkeletonStats } from '../../components/Skeleton';
import { download } from '../../csv';
import { go, range, withParams } from '../../router';
import { profiles } from '../../store';
import { FIGURES_MS, useLive } from '../../useLive';
import { Attention } from './Attention';
import { CapacityTable } from './CapacityTable';
import { FinishedChart } from './FinishedChart';
import { PerProfile } from './PerProfile';
import { SuccessMap } from './SuccessMap';
import { Tiles } from './Tiles';
import { WaitChart } from './WaitChart';

/** The data of the page: the total and each profile, over one range. */
export interface Analytics {
  range: Range;
  whole: History;
  parts: { view: ProfileView; history: History }[];
}

async function load(range: Range): Promise<Analytics> {
  const views = profiles.value ?? [];
  const [whole, ...histories] = await Promise.all([
    api.history(range), ...views.map((view) => api.history(range, view.profile.name)),
  ]);
  return { range, whole: whole!, parts: views.map((view, i) => ({ view, history: histories[i]! })) };
}

/** The start of each bucket in ms, including those in which acpd did not run. */
export function timesOf({ buckets, bucketSeconds }: History): number[] {
  const known = buckets.findIndex((bucket) => bucket !== null);
  const start = known < 0 ? Date.now() - bucketSeconds * 1000 * buckets.length
    : Date.parse(buckets[known]!.at) - known * bucketSeconds * 1000;
  return buckets.map((_, i) => start + i * bucketSeconds * 1000);
}

function exportCsv({ range, parts, whole }: Analytics): void {
  const times = timesOf(whole);
  const rows = parts.flatMap(({ view, history }) => history.buckets.map((bucket, i) => [
    view.profile.name, new Date(times[i]!).toISOString(),
    bucket?.completed ?? null, bucket?.failed ?? null, bucket?.cancelled ?? null, bucket?.retried ?? null,
    bucket?.successRate ?? null, bucket?.averageTaskDuration ?? null, bucket?.p95TaskDuration ?? null,
    bucket?.queueWaitTime ?? null, bucket?.maxQueueSize ?? null,
  ]));
  download(`acpd-${range}.csv`, [[
    'profile', 'at', 'completed', 'failed', 'cancelled', 'retried', 'successRate', 'averageTaskDuration',
    'p95TaskDuration', 'queueWaitTime', 'maxQueueSize'], ...rows]);
}

function Body({ analytics }: { analytics: Analytics }) {
  return (
    <>
      <Attention />
      <Tiles analytics={analytics} />
      <FinishedChart analytics={analytics} />
      <div class="columns">
        <WaitChart analytics={analytics} />
        <SuccessMap analytics={analytics} />
      </div>
      <PerProfile analytics={analytics} />
      <CapacityTable range={analytics.range} />
    </>
  );
}

export function AnalyticsPage() {
  const chosen = range.value;
  const isReady = profiles.value !== null;
  const { data, error } = useLive(`analytics ${chosen} ${isReady}`, () => load(chosen), FIGURES_MS);
  const head = (
    <PageHead title="Analytics">
      <Segmented label="Time range" value={chosen} onChange={(value) => go(withParams({ range: value }), { replace: true })}
        options={[['1h', '1h'], ['24h', '24h'], ['7d', '7d']]} />
      <button type="button" class="button" disabled={!data?.parts.length} onClick={() => exportCsv(data!)}>Export CSV</button>
    </PageHead>
  );
  if (error && !data)
    return <>{head}<Blank icon="warn" title="Cannot show the metrics" isBad><p>{error.message}</p></Blank></>;
  if (!data || !isReady) return <>{head}<SkeletonStats /><SkeletonRows label="Loading metrics" rows={4} /></>;
  if (!data.parts.length)
    return <>{head}<Blank icon="clock" title="No history yet"><p>Charts appear once a profile has finished a task.</p></Blank></>;
  return <>{head}<Body analytics={data} /></>;
}
