import type { AcpdNode, HealthState, ProfileView, Status } from '../api';
import { statusWords } from '../words';
import { Icon, type IconName } from './Icon';

const healthLooks: Record<HealthState, [string, IconName, string]> = {
  healthy: ['ok', 'check', 'Healthy'],
  degraded: ['warn', 'warn', 'Degraded'],
  unhealthy: ['bad', 'x', 'Unhealthy'],
};

export function HealthPill({ health, reason }: { health: HealthState; reason?: string | null }) {
  const [tone, icon, text] = healthLooks[health];
  return (
    <span class={`pill ${tone}`} title={reason ?? undefined}>
      <Icon name={icon} size={12} />
      {text}
    </span>
  );
}

/** What a profile is doing. */
export function ActivityPill({ view }: { view: ProfileView }) {
  const { isActive, currentTasks } = view.state;
  if (!isActive && currentTasks)
    return <span class="pill warn"><Icon name="drain" size={12} />Draining</span>;
  if (!isActive) return <span class="pill off"><Icon name="pause" size={12} />Disabled</span>;
  if (currentTasks) return <span class="pill ok"><span class="dot" />Working</span>;
  return <span class="pill off"><span class="dot is-hollow" />Idle</span>;
}

const nodeLooks: Record<AcpdNode['state'], [string, IconName, string, string]> = {
  running: ['ok', 'check', 'Running', 'takes tasks'],
  retiring: ['warn', 'drain', 'Retiring', 'takes no new tasks; stops once its running tasks have finished'],
  silent: ['bad', 'plug', 'Silent', 'may be dead; if so, other nodes rerun its tasks'],
};

export function NodePill({ state }: { state: AcpdNode['state'] }) {
  const [tone, icon, text, title] = nodeLooks[state];
  return <span class={`pill ${tone}`} title={title}><Icon name={icon} size={12} />{text}</span>;
}

const statusTones: Record<Status, string> = {
  scheduled: 'off',
  blocked: 'off',
  queued: 'off',
  running: 'accent',
  completed: 'ok',
  failed: 'bad',
  cancelled: 'off',
};

const statusIcons: Record<Status, IconName | null> = {
  scheduled: 'clock',
  blocked: 'link',
  queued: 'inbox',
  running: null,
  completed: 'check',
  failed: 'x',
  cancelled: 'x',
};

export function StatusPill({ status }: { status: Status }) {
  const icon = statusIcons[status];
  return (
    <span class={`pill ${statusTones[status]}`}>
      {icon ? <Icon name={icon} size={12} /> : <span class="dot" />}
      {statusWords[status]}
    </span>
  );
}
