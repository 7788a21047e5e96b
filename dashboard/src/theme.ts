// Light, dark or the system's theme; remembered.
import { computed, effect, signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'acpd.theme';
const order: Theme[] = ['system', 'light', 'dark'];
const stored = localStorage.getItem(KEY) as Theme | null;

export const theme = signal<Theme>(stored && order.includes(stored) ? stored : 'system');

const scheme = matchMedia('(prefers-color-scheme: dark)');
const systemIsDark = signal(scheme.matches);
scheme.addEventListener('change', () => (systemIsDark.value = scheme.matches));

export const isDark = computed(() => (theme.value === 'system' ? systemIsDark.value : theme.value === 'dark'));

export function nextTheme(): void {
  theme.value = order[(order.indexOf(theme.value) + 1) % order.length]!;
  localStorage.setItem(KEY, theme.value);
}

effect(() => {
  if (theme.value === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});
