import type { Series } from './TimeChart';

export function Legend({ series, isLine }: { series: Series[]; isLine?: boolean }) {
  return (
    <ul class="legend">
      {series.map((one) => (
        <li key={one.label}><i class={isLine ? 'is-line' : ''} style={{ background: one.color }} />{one.label}</li>
      ))}
    </ul>
  );
}
