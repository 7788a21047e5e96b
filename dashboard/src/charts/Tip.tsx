import { clock, day } from '../format';
import type { Series } from './TimeChart';

interface Props {
  index: number;
  left: number; // of the cursor, in the plot
  width: number;
  times: number[];
  isKnown: boolean[];
  series: Series[];
  format: (value: number) => string;
}

const AXIS = 50;
const WIDTH = 190;

/** The tooltip at the cursor. */
export function Tip({ index, left, width, times, isKnown, series, format }: Props) {
  const time = times[index];
  if (time === undefined || left < 0) return null;
  const x = left + AXIS > width - WIDTH ? left + AXIS - WIDTH : left + AXIS + 12;
  return (
    <div class="tip" role="status" style={{ transform: `translate(${x}px, 8px)` }}>
      <p class="tip-time">{day(time)} {clock(time)}</p>
      {isKnown[index] ? series.map((one) => {
        const value = one.values[index];
        return (
          <p key={one.label}>
            <i style={{ background: one.color }} />{one.label}
            <b>{value === null || value === undefined ? 'no data' : format(value)}</b>
          </p>
        );
      }).reverse() : <p>acpd was not running</p>}
    </div>
  );
}
