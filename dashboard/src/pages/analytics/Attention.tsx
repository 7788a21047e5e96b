import { Icon } from '../../components/Icon';
import { needsAttention } from '../../figures';
import { health, profiles, roleOf } from '../../store';

/** Health problems and anomalies, in plain words. */
export function Attention() {
  const views = (profiles.value ?? []).filter(needsAttention);
  const notes = Object.entries(health.value?.profiles ?? {}).flatMap(([name, { anomalies }]) =>
    (anomalies ?? []).map((note) => ({ name, note })));
  return (
    <>
      {views.length ? (
        <p class={`banner ${views.some((v) => v.state.health === 'unhealthy') ? 'bad' : 'warn'}`}>
          <Icon name="warn" />
          <span>
            <b>{views.length === 1 ? '1 profile needs attention.' : `${views.length} profiles need attention.`}</b>{' '}
            {views.map((view) => `${view.profile.role}: ${view.state.healthReason ?? view.state.health}`).join('. ')}.
          </span>
        </p>
      ) : (
        <p class="banner ok"><Icon name="check" /><span><b>All profiles are healthy.</b></span></p>
      )}
      {notes.length > 0 && (
        <ul class="banner info notes" aria-label="Unusual metrics">
          {notes.map(({ name, note }) => (
            <li key={`${name} ${note.metric}`}>
              <Icon name={note.direction === 'high' ? 'up' : 'down'} size={14} />
              <span><b>{roleOf(name)}</b>: {note.text}</span>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
