// Figures and times for people. Durations are in seconds, as everywhere in acpd.

export const NONE = '–';

/** "<0.1s", "0.4s", "47s", "2m 05s", "3h 07m", "2d 4h". */
export function duration(seconds: number | null): string {
  if (seconds === null) return NONE;
  if (seconds > 0 && seconds < 0.05) return '<0.1s';
  if (seconds > 0 && seconds < 9.95) return `${Number(seconds.toFixed(1))}s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${pad(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${pad(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86400)}d ${Math.floor((s % 86400) / 3600)}h`;
}

/** A time (in ms) relative to now. */
export function relative(ms: number, now: number): string {
  const s = Math.round((now - ms) / 1000);
  if (s < -1) return `in ${span(-s)}`;
  return s < 2 ? 'now' : `${span(s)} ago`;
}

function span(s: number): string {
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m`;
  if (s < 86400) return `${Math.floor(s / 3600)}h`;
  return `${Math.floor(s / 86400)}d`;
}

/** A share, given in percent: "98.1%"; no fraction for whole numbers. */
export function percent(value: number | null): string {
  if (value === null) return NONE;
  const rounded = Math.round(value * 10) / 10;
  // Never rounds to 0 % or 100 %.
  if (rounded === 100 && value < 100) return '99.9%';
  if (rounded === 0 && value > 0) return '0.1%';
  return Number.isInteger(rounded) ? `${rounded}%` : `${rounded.toFixed(1)}%`;
}

/** A count: "1,234", "12.3k", "1.2M". */
export function count(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toFixed(1))}M`;
  if (value >= 1e4) return `${Number((value / 1e3).toFixed(1))}k`;
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 });
}

export function money(amount: number, currency: string): string {
  try {
    return amount.toLocaleString('en', { style: 'currency', currency });
  } catch {
    return `${amount.toFixed(2)} ${currency}`;
  }
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** In the viewer's time zone, to the second: "2026-11-22 14:32:10". */
export function exact(ms: number): string {
  const d = new Date(ms);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${clock(ms)}:${pad(d.getSeconds())}`;
}

/** "14:32", in the viewer's time zone. */
export function clock(ms: number): string {
  const d = new Date(ms);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}`;
}

/** "22 Nov", in the viewer's time zone. */
export function day(ms: number): string {
  return new Date(ms).toLocaleDateString('en-GB', { day: 'numeric', month: 'short' });
}

export const parse = (iso: string): number => Date.parse(iso);

const pad = (n: number): string => String(n).padStart(2, '0');
