import { health, connection, isHelpOpen, permissions } from '../store';
import { toggleUpdates } from '../live';
import { path } from '../router';
import { nextTheme, theme } from '../theme';
import { Icon } from './Icon';

const tabs: [address: string, text: string][] = [
  ['/profiles', 'Profiles'],
  ['/profile-analytics', 'Analytics'],
  ['/tasks', 'Tasks'],
  ['/permissions', 'Inbox'],
];

function Tab({ address, text }: { address: string; text: string }) {
  const isHere = path.value === address || (address === '/tasks' && path.value.startsWith('/tasks/'));
  const questions = address === '/permissions' ? (permissions.value?.length ?? 0) : 0;
  return (
    <a href={address} aria-current={isHere ? 'page' : undefined}>
      {text}
      {questions > 0 && <span class="badge">{questions}<span class="sr-only"> open questions</span></span>}
    </a>
  );
}

const states = {
  connecting: ['Connecting', 'Pause live updates'],
  live: ['Live', 'Pause live updates'],
  paused: ['Paused', 'Resume live updates'],
  reconnecting: ['Reconnecting', 'Try again now'],
};

function ConnectionButton() {
  const state = connection.value;
  const [text, hint] = states[state]!;
  const interval = `every ${health.value?.updateInterval ?? 5} s`;
  const aside = { connecting: '', live: interval, paused: 'resume', reconnecting: '' }[state];
  return (
    <>
      <button type="button" class={`connection is-${state}`} title={hint} onClick={toggleUpdates}>
        <span class="dot" />
        <span>{text}</span>
        {aside && <span class="muted">{aside}</span>}
      </button>
      <span class="sr-only" role="status">{text}</span>
    </>
  );
}

const themes = {
  system: ['system', 'Theme: system. Switch to light'],
  light: ['sun', 'Theme: light. Switch to dark'],
  dark: ['moon', 'Theme: dark. Switch to system'],
} as const;

export function Top() {
  const [icon, label] = themes[theme.value];
  return (
    <header class="top">
      <a class="skip" href="#main">Skip to content</a>
      <span class="brand">
        <img src="/icon.svg" width="20" height="20" alt="" />
        <span>acpd</span>
      </span>
      <nav aria-label="Main">{tabs.map(([address, text]) => <Tab key={address} {...{ address, text }} />)}</nav>
      <span class="space" />
      <ConnectionButton />
      <button type="button" class="icon-button" aria-label={label} title={label} onClick={nextTheme}>
        <Icon name={icon} />
      </button>
      <button type="button" class="icon-button is-wide-only" aria-label="Keyboard shortcuts" title="Keyboard shortcuts"
        onClick={() => (isHelpOpen.value = true)}>
        <Icon name="help" />
      </button>
    </header>
  );
}
