import type { Figures } from '../api';
import { merge } from '../figures';

interface Props {
  buckets: (Figures | null)[];
  label: string;
  width?: number;
  height?: number;
  bars?: number;
}

/** Counts as bars. Spans in which acpd did not run are gaps, not zeros. */
export function Spark({ buckets, label, width = 132, height = 26, bars = 30 }: Props) {
  const groups = merge(buckets, bars);
  const most = Math.max(1, ...groups.map((g) => (g ? g.completed + g.failed : 0)));
  const step = width / Math.max(1, groups.length);
  const room = height - 3;
  return (
    <svg class="spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img"
      aria-label={label}>
      <line class="base" x1="0" x2={width} y1={height - 0.5} y2={height - 0.5} />
      {groups.map((group, i) => {
        const x = i * step;
        if (!group) {
          // One rectangle per gap: edges of adjacent ones would show.
          if (i > 0 && groups[i - 1] === null) return null;
          const end = groups.findIndex((g, k) => k > i && g !== null);
          return <rect key={i} class="gap" x={x} y={2} width={(end < 0 ? groups.length : end) * step - x} height={room} />;
        }
        const failed = (group.failed / most) * room;
        const completed = (group.completed / most) * room;
        const bar = { x: x + 0.5, width: Math.max(1, step - 1.2) };
        return (
          <g key={i}>
            {completed > 0 && <rect class="ok" {...bar} y={height - 1 - completed - failed} height={completed} />}
            {failed > 0 && <rect class="bad" {...bar} y={height - 1 - failed} height={Math.max(1, failed)} />}
          </g>
        );
      })}
    </svg>
  );
}
