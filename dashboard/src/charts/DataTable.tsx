import { exact, NONE } from '../format';
import type { Series } from './TimeChart';

interface Props {
  caption: string;
  times: number[];
  series: Series[];
  format: (value: number) => string;
}

/** The chart's figures for screen readers; omits spans without any. */
export function DataTable({ caption, times, series, format }: Props) {
  const rows = times.map((time, i) => ({ time, values: series.map((one) => one.values[i] ?? null) }))
    .filter((row) => row.values.some((value) => value));
  return (
    <div class="sr-only">
      <table>
        <caption>{caption}</caption>
        <thead>
          <tr><th scope="col">Time</th>{series.map((one) => <th scope="col" key={one.label}>{one.label}</th>)}</tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.time}>
              <th scope="row">{exact(row.time)}</th>
              {row.values.map((value, i) => <td key={i}>{value === null ? NONE : format(value)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
