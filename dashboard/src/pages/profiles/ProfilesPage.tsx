import { computed, signal } from '@preact/signals';
import type { ProfileView } from '../../api';
import { Icon } from '../../components/Icon';
import { PageHead } from '../../components/PageHead';
import { Segmented } from '../../components/Segmented';
import { SkeletonRows, SkeletonStats } from '../../components/Skeleton';
import { needsAttention } from '../../figures';
import { assigning, filter, health, isAway, profiles, selectedView } from '../../store';
import { Nodes } from './Nodes';
import { NoProfiles } from './NoProfiles';
import { ProfilePanel } from './ProfilePanel';
import { ProfileTable } from './ProfileTable';
import { RunningNow } from './RunningNow';
import { Summary } from './Summary';

type Show = 'all' | 'attention' | 'disabled';
const show = signal<Show>('all');

const shows: Record<Show, (view: ProfileView) => boolean> = {
  all: () => true,
  attention: needsAttention,
  disabled: (view) => !view.state.isActive,
};

const matches = ({ profile }: ProfileView, words: string): boolean =>
  [profile.role, profile.name, ...profile.capabilities].some((text) => text.toLowerCase().includes(words));

const listed = computed(() => {
  const words = filter.value.trim().toLowerCase();
  return (profiles.value ?? []).filter((view) => shows[show.value](view) && (!words || matches(view, words)));
});

function Tools({ views }: { views: ProfileView[] }) {
  const count = (which: Show) => views.filter(shows[which]).length;
  return (
    <>
      <Segmented label="Show profiles" value={show.value} onChange={(value) => (show.value = value)}
        options={[
          ['all', `All ${views.length}`],
          ['attention', `Needs attention ${count('attention')}`],
          ['disabled', `Disabled ${count('disabled')}`],
        ]} />
      <label class="search">
        <Icon name="search" size={14} />
        <span class="sr-only">Filter profiles</span>
        <input id="filter" type="search" placeholder="Filter by name or capability" value={filter.value}
          onInput={(event) => (filter.value = event.currentTarget.value)} />
        <kbd>/</kbd>
      </label>
      <button type="button" class="button is-primary" disabled={isAway.value} onClick={() => (assigning.value = '')}>
        <Icon name="plus" size={14} />Assign task
      </button>
    </>
  );
}

function clearFilters(): void {
  filter.value = '';
  show.value = 'all';
}

export function ProfilesPage() {
  const views = profiles.value;
  if (!views) return <><PageHead title="Profiles" /><SkeletonStats /><SkeletonRows label="Loading profiles" /></>;
  if (!views.length) return <><PageHead title="Profiles" /><NoProfiles /></>;
  const view = selectedView.value;
  return (
    <>
      <PageHead title="Profiles"><Tools views={views} /></PageHead>
      {health.value?.demo && (
        <p class="banner info">
          <Icon name="help" />
          <span>
            <b>These are demo profiles.</b> They run an agent that only repeats its prompt. Define your own in
            acpd’s configuration file.
          </span>
        </p>
      )}
      <Summary views={views} />
      <Nodes />
      <div class={`split ${view ? 'is-open' : ''}`}>
        <div class="column">
          <ProfileTable views={listed.value} onClear={clearFilters} />
          <RunningNow />
        </div>
        {view && <ProfilePanel key={view.profile.name} view={view} />}
      </div>
    </>
  );
}
