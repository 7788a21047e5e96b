import { useEffect, useRef } from 'preact/hooks';
import { Help } from './components/Help';
import { Icon } from './components/Icon';
import { PageHead } from './components/PageHead';
import { Toasts } from './components/Toasts';
import { TokenCard } from './components/TokenCard';
import { AwayCard, Blank } from './components/Blank';
import { Top } from './components/Top';
import { exact } from './format';
import { AnalyticsPage } from './pages/analytics/AnalyticsPage';
import { AssignDialog } from './pages/assign/AssignDialog';
import { PermissionsPage } from './pages/permissions/PermissionsPage';
import { ProfilesPage } from './pages/profiles/ProfilesPage';
import { TaskPage } from './pages/tasks/TaskPage';
import { TasksPage } from './pages/tasks/TasksPage';
import { go, path, taskId } from './router';
import { isAway, needsToken, profiles, updatedAt } from './store';

function page(): { title: string; body: preact.ComponentChildren } {
  const card = (title: string, body: preact.ComponentChildren) => ({ title, body: <><PageHead title={title} />{body}</> });
  if (needsToken.value) return card('Sign in', <TokenCard />);
  if (isAway.value && !profiles.value) return card('Not connected', <AwayCard />);
  if (taskId.value !== null) return { title: `Task ${taskId.value}`, body: <TaskPage key={taskId.value} id={taskId.value} /> };
  switch (path.value) {
    case '/':
    case '/profiles':
      return { title: 'Profiles', body: <ProfilesPage /> };
    case '/profile-analytics':
      return { title: 'Analytics', body: <AnalyticsPage /> };
    case '/tasks':
      return { title: 'Tasks', body: <TasksPage /> };
    case '/permissions':
      return { title: 'Inbox', body: <PermissionsPage /> };
    default:
      return card('Not found',
        <Blank icon="search" title="Page not found"><a href="/profiles">Go to the profiles</a></Blank>);
  }
}

/** On navigation: sets the title, focuses the heading and scrolls to the top. */
function useArrival(title: string): void {
  const here = path.value;
  const before = useRef(here);
  useEffect(() => {
    document.title = `${title} · acpd`;
  }, [title]);
  useEffect(() => {
    if (before.current === here) return;
    before.current = here;
    scrollTo(0, 0);
    document.querySelector<HTMLElement>('main h1')?.focus();
  }, [here]);
}

export function App() {
  const { title, body } = page();
  useArrival(title);
  useEffect(() => {
    if (path.value === '/') go('/profiles', { replace: true });
  }, []);
  const isStale = isAway.value && profiles.value !== null;
  return (
    <>
      <Top />
      {isStale && (
        <div class="banner bad is-strip" role="status">
          <Icon name="plug" />
          <span>
            <b>Connection lost.</b> Showing the state at {exact(updatedAt.value)}. Controls are disabled until the
            daemon answers.
          </span>
        </div>
      )}
      <main id="main" class={isStale ? 'is-stale' : ''}>{body}</main>
      <AssignDialog />
      <Help />
      <Toasts />
    </>
  );
}
