// Small marks next to a name or a figure.
import type { Priority } from '../api';
import { exact, parse, plural, relative } from '../format';
import { now } from '../store';
import { priorityWords } from '../words';

export function Swatch({ color, isOff }: { color: string; isOff?: boolean }) {
  return <span class="swatch" style={{ background: isOff ? 'var(--fg-4)' : color }} aria-hidden="true" />;
}

export function PriorityMark({ priority }: { priority: Priority }) {
  const words = `${priorityWords[priority]} priority`;
  return <span class={`priority ${priority}`} role="img" aria-label={words} title={words} />;
}

const SLOTS_DRAWN = 12;

export function Slots({ used, slots }: { used: number; slots: number }) {
  const drawn = Math.max(slots, used) <= SLOTS_DRAWN ? Math.max(slots, used) : 0;
  return (
    <span class="slots" role="img" aria-label={`${used} of ${plural(slots, 'slot')} in use`}>
      {Array.from({ length: drawn }, (_, i) => <i key={i} class={i < used ? 'is-used' : ''} />)}
      <b aria-hidden="true">{used}<span class="muted">/{slots}</span></b>
    </span>
  );
}

/** A share as a bar; the figure is next to it. */
export function Bar({ share, tone = '' }: { share: number; tone?: 'ok' | 'warn' | 'bad' | '' }) {
  const width = Math.max(0, Math.min(100, 100 * share));
  return <span class="bar" aria-hidden="true"><i class={tone} style={{ width: `${width}%` }} /></span>;
}

/** A relative time; the exact one on hover. */
export function When({ at, none = 'never' }: { at: string | null; none?: string }) {
  if (!at) return <span class="muted">{none}</span>;
  return <time dateTime={at} title={exact(parse(at))}>{relative(parse(at), now.value)}</time>;
}
