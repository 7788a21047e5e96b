import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { clock, day } from '../format';
import { isDark } from '../theme';
import { DataTable } from './DataTable';
import { resolveColor } from './palette';
import { Tip } from './Tip';

export interface Series {
  label: string;
  color: string; // any CSS colour
  values: (number | null)[]; // null: unknown
}

interface Props {
  label: string;
  times: number[]; // starts of the buckets, in ms
  isKnown: boolean[]; // whether acpd ran in the bucket
  series: Series[];
  format: (value: number) => string;
  isStacked?: boolean; // stacked bars, the first one at the bottom
  hasDays?: boolean; // the range is longer than a day
  height: number;
}

const FONT = '11px "Inter Variable", system-ui, sans-serif';

/** Cumulative sums: the tops of stacked bars. */
function stack(series: Series[]): (number | null)[][] {
  const tops: (number | null)[][] = [];
  for (const { values } of series)
    tops.push(values.map((value, i) => (value === null ? null : value + (tops.at(-1)?.[i] ?? 0))));
  return tops;
}

/** Shades the spans in which acpd did not run, to tell them from zero. */
function gaps(times: number[], isKnown: boolean[], color: string): uPlot.Plugin {
  const half = ((times[1] ?? 0) - (times[0] ?? 0)) / 2000;
  return {
    hooks: {
      drawClear: (plot) => {
        plot.ctx.fillStyle = color;
        isKnown.forEach((known, i) => {
          if (known) return;
          const from = plot.valToPos(times[i]! / 1000 - half, 'x', true);
          const to = plot.valToPos(times[i]! / 1000 + half, 'x', true);
          plot.ctx.fillRect(from, plot.bbox.top, to - from + 1, plot.bbox.height);
        });
      },
    },
  };
}

function options(props: Props, element: HTMLElement, onCursor: (index: number | null) => void): uPlot.Options {
  const { times, series, format, isStacked, hasDays, height } = props;
  const color = (value: string) => resolveColor(element, value);
  const step = ((times[1] ?? 0) - (times[0] ?? 0)) / 1000;
  const moment = (seconds: number) => {
    const text = clock(seconds * 1000);
    return hasDays ? (text === '00:00' ? day(seconds * 1000) : `${day(seconds * 1000)} ${text}`) : text;
  };
  const axis = { stroke: color('var(--fg-3)'), font: FONT, ticks: { show: false } };
  const bars = uPlot.paths.bars!({ size: [0.82, 40], radius: [0.12, 0] });
  const shown = isStacked ? [...series].reverse() : series;
  return {
    width: element.clientWidth,
    height,
    padding: [10, 6, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: {
      x: { time: true, range: (_plot, from, to) => [from - step / 2, to + step / 2] },
      y: { range: (_plot, _least, most) => [0, Math.max(1, (most ?? 0) * 1.12)] },
    },
    axes: [
      { ...axis, size: 26, space: hasDays ? 110 : 70, grid: { show: false }, values: (_plot, marks) => marks.map(moment) },
      { ...axis, size: 50, space: 34, grid: { stroke: color('var(--line)'), width: 1 },
        values: (_plot, marks) => marks.map((mark) => (isStacked && mark % 1 ? '' : format(mark))) },
    ],
    series: [
      {},
      ...shown.map((one): uPlot.Series => isStacked
        ? { fill: color(one.color), stroke: 'transparent', width: 0, paths: bars, points: { show: false } }
        : { stroke: color(one.color), width: 1.75, spanGaps: false, points: { size: 4, fill: color(one.color) } }),
    ],
    plugins: [gaps(times, props.isKnown, color('var(--gap)'))],
    hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)] },
  };
}

const dataOf = ({ times, series, isStacked }: Props): uPlot.AlignedData =>
  [times.map((ms) => ms / 1000), ...(isStacked ? stack(series).reverse() : series.map((one) => one.values))] as uPlot.AlignedData;

/** A chart over time, readable by pointer and arrow keys, with a table for screen readers. */
export function TimeChart(props: Props) {
  const { label, times, series, height } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [at, setAt] = useState<number | null>(null);
  // A changed look needs a new plot; new figures do not.
  const look = JSON.stringify([isDark.value, height, times.length, times[0], props.isKnown, series.map((s) => [s.label, s.color])]);

  useEffect(() => {
    const element = box.current!;
    const drawn = new uPlot(options(props, element, setAt), dataOf(props), element);
    const observer = new ResizeObserver(() => drawn.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    plot.current = drawn;
    return () => {
      observer.disconnect();
      drawn.destroy();
      plot.current = null;
    };
  }, [look]);
  useEffect(() => plot.current?.setData(dataOf(props)), [series]);

  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !plot.current) return;
    event.preventDefault();
    const index = Math.max(0, Math.min(times.length - 1, at === null ? times.length - 1 : at + step));
    plot.current.setCursor({ left: plot.current.valToPos(times[index]! / 1000, 'x'), top: 0 });
  };
  const leave = () => plot.current?.setCursor({ left: -10, top: -10 });

  return (
    <figure class="chart" aria-label={label} tabIndex={0} onKeyDown={onKey} onBlur={leave}>
      <div ref={box} style={{ height: `${height}px` }} aria-hidden="true" />
      {at !== null && <Tip index={at} left={plot.current?.cursor.left ?? 0} width={box.current?.clientWidth ?? 0} {...props} />}
      <DataTable caption={label} {...props} />
    </figure>
  );
}
