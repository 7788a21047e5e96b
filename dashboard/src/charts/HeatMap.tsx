import type { Counts } from '../figures';
import { successOf } from '../figures';
import { clock, day, percent } from '../format';

interface Row {
  name: string;
  cells: (Counts | null)[]; // null: acpd did not run
}

const steps: [least: number, tone: string, words: string][] = [
  [99, 'heat-0', '≥ 99%'],
  [95, 'heat-1', '≥ 95%'],
  [88, 'heat-2', '≥ 88%'],
  [75, 'heat-3', '≥ 75%'],
  [0, 'heat-4', 'lower'],
];

function look(cell: Counts | null): { tone: string; words: string } {
  if (!cell) return { tone: 'heat-gap', words: 'no data' };
  const rate = successOf(cell);
  if (rate === null) return { tone: 'heat-idle', words: 'idle' };
  const tone = steps.find(([least]) => rate >= least)![1];
  return { tone, words: `${percent(rate)}, ${cell.failed} of ${cell.completed + cell.failed} failed` };
}

/** The success rate of each row over time, one cell per span. */
export function HeatMap({ label, rows, times }: { label: string; rows: Row[]; times: number[] }) {
  return (
    <>
      <div class="heat" role="table" aria-label={label}>
        {rows.map((row) => (
          <div class="heat-row" role="row" key={row.name}>
            <span class="heat-name" role="rowheader" title={row.name}>{row.name}</span>
            <span class="heat-cells" role="presentation">
              {row.cells.map((cell, i) => {
                const { tone, words } = look(cell);
                const text = `${day(times[i]!)} ${clock(times[i]!)}: ${words}`;
                return <i key={i} class={tone} role="cell" aria-label={text} title={text} />;
              })}
            </span>
          </div>
        ))}
      </div>
      <p class="heat-legend" aria-hidden="true">
        {steps.map(([, tone, words]) => <span key={tone}><i class={tone} />{words}</span>)}
        <span><i class="heat-idle" />idle</span>
        <span><i class="heat-gap" />no data</span>
      </p>
    </>
  );
}
