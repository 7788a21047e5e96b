// Addresses. The address holds all state of a view that is worth a link.
import { computed, signal } from '@preact/signals';
import type { Range, Status } from './api';

export const location = signal(read());

function read(): URL {
  return new URL(globalThis.location.href);
}

export const path = computed(() => location.value.pathname);

/** The number of /tasks/:id, or null. */
export const taskId = computed(() => {
  const match = /^\/tasks\/([1-9][0-9]{0,15})$/.exec(path.value);
  return match ? Number(match[1]) : null;
});

const param = (name: string) => computed(() => location.value.searchParams.get(name));

const rangeParam = param('range');
export const range = computed<Range>(() =>
  rangeParam.value === '1h' || rangeParam.value === '7d' ? rangeParam.value : '24h');
export const selected = param('profile');
const statusParam = param('status');
export const statusFilter = computed(() => statusParam.value as Status | null);

/** Goes to an address; `replace` adds no history entry. */
export function go(address: string, options: { replace?: boolean } = {}): void {
  const target = new URL(address, globalThis.location.href);
  if (target.href === location.value.href) return;
  if (options.replace) history.replaceState(null, '', target);
  else history.pushState(null, '', target);
  location.value = target;
}

/** The current address with these parameters; null removes one. */
export function withParams(changes: Record<string, string | null>): string {
  const target = new URL(location.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) target.searchParams.delete(name);
    else target.searchParams.set(name, value);
  }
  return target.pathname + target.search;
}

export function startRouter(): void {
  addEventListener('popstate', () => (location.value = read()));
  addEventListener('click', (event) => {
    // Handles plain clicks on links of this page; leaves others to the browser.
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest?.('a[href^="/"]:not([target]):not([download])');
    if (!link) return;
    event.preventDefault();
    go(link.getAttribute('href')!);
  });
}
