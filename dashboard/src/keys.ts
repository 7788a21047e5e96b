// Keyboard shortcuts for all frequent actions.
import { toggleUpdates } from './live';
import { go, path, selected } from './router';
import { assigning, isHelpOpen, profiles, rowButton, select, setActive, undo } from './store';

export const shortcuts: [keys: string[], words: string][] = [
  [['1', '2', '3', '4'], 'Profiles, Analytics, Tasks, Inbox'],
  [['/'], 'Filter'],
  [['j', 'k'], 'Next, previous profile'],
  [['e'], 'Enable or disable the profile'],
  [['a'], 'Assign a task'],
  [['u'], 'Undo, while offered'],
  [['p'], 'Pause or resume live updates'],
  [['←', '→'], 'Read values of a focused chart'],
  [['Esc'], 'Close'],
];

const pages = ['/profiles', '/profile-analytics', '/tasks', '/permissions'];

const isTyping = (target: HTMLElement): boolean =>
  target.isContentEditable || /^(TEXTAREA|SELECT)$/.test(target.tagName) ||
  (target.tagName === 'INPUT' && (target as HTMLInputElement).type !== 'radio');

/** Moves along the visible rows. */
function move(step: number): void {
  const names = [...document.querySelectorAll<HTMLElement>('tr[data-profile]')].map((row) => row.dataset.profile!);
  const at = names.indexOf(selected.value ?? '') + step;
  const next = names[Math.max(0, Math.min(names.length - 1, at))];
  if (!next) return;
  select(next);
  rowButton(next)?.focus();
}

function press(key: string): boolean {
  const onProfiles = path.value === '/profiles';
  const view = profiles.value?.find((v) => v.profile.name === selected.value);
  const page = pages[Number(key) - 1];
  if (page) go(page);
  else if (key === '/') document.getElementById('filter')?.focus();
  else if (key === 'j' && onProfiles) move(1);
  else if (key === 'k' && onProfiles) move(-1);
  else if (key === 'e' && onProfiles && view) void setActive(view, !view.state.isActive);
  else if (key === 'a') assigning.value = onProfiles ? (selected.value ?? '') : '';
  else if (key === 'p') toggleUpdates();
  else if (key === 'u') undo();
  else if (key === '?') isHelpOpen.value = true;
  else return false;
  return true;
}

export function startKeys(): void {
  addEventListener('keydown', (event) => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector('dialog[open]')) return;
    if (event.key === 'Escape') {
      if (isTyping(target)) target.blur();
      else if (path.value === '/profiles' && selected.value) select(null);
    } else if (!isTyping(target) && press(event.key)) {
      event.preventDefault();
    }
  });
}
