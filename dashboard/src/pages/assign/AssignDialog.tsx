import { useState } from 'preact/hooks';
import { api, ApiError, type NewTask, type Priority } from '../../api';
import { Dialog } from '../../components/Dialog';
import { Swatch } from '../../components/marks';
import { plural } from '../../format';
import { assigning, isAway, isFleet, nodes, poke, profiles, roleOf, toast } from '../../store';
import { priorityWords } from '../../words';
import { BestMatch } from './BestMatch';
import { Field } from './Field';

interface Draft {
  title: string;
  description: string;
  type: string;
  priority: Priority;
  capabilities: string;
  runAt: string;
  node: string; // '': any
  profile: string; // '': the best match
}

const empty: Draft = {
  title: '', description: '', type: '', priority: 'medium', capabilities: '', runAt: '', node: '', profile: '',
};

/** The draft as acpd expects it, without empty fields. */
export function taskOf(draft: Draft): NewTask {
  const capabilities = draft.capabilities.split(/[\s,]+/).filter(Boolean);
  return {
    title: draft.title.trim(),
    priority: draft.priority,
    ...(draft.description && { description: draft.description }),
    ...(draft.type && { type: draft.type }),
    ...(capabilities.length && { capabilities }),
    ...(draft.runAt && { runAt: new Date(draft.runAt).toISOString() }),
    ...(draft.node && { node: draft.node }),
  };
}

/** The form field for an error, by the daemon's name of the parameter. */
const fieldOf = (error: ApiError | null): string | null => error?.field?.replace(/^task\./, '').replace(/\[.*/, '') ?? null;

function ProfileChoice({ draft, set }: { draft: Draft; set: (change: Partial<Draft>) => void }) {
  const choices = (profiles.value ?? []).filter((view) => !view.profile.isRemoved);
  return (
    <fieldset class="choices">
      <legend>Profile</legend>
      <label class="choice">
        <input type="radio" name="profile" checked={draft.profile === ''} onChange={() => set({ profile: '' })} />
        <b>Best match</b>
        <span class="sub">by capability, load and past success</span>
      </label>
      {choices.map(({ profile, state }) => (
        <label class="choice" key={profile.name}>
          <input type="radio" name="profile" checked={draft.profile === profile.name}
            onChange={() => set({ profile: profile.name })} />
          <b><Swatch color={profile.color} isOff={!state.isActive} />{profile.role}</b>
          <span class="sub">
            {state.isActive ? `${state.currentTasks}/${profile.maxConcurrentTasks} slots, ${plural(state.queueSize, 'waiting', 'waiting')}`
              : 'disabled: the task will wait'}
          </span>
        </label>
      ))}
    </fieldset>
  );
}

interface FieldsProps {
  draft: Draft;
  set: (change: Partial<Draft>) => void;
  fault: (name: string) => string | null;
}

function Fields({ draft, set, fault }: FieldsProps) {
  const types = [...new Set((profiles.value ?? []).flatMap((view) => view.profile.capabilities))].sort();
  return (
    <>
      <Field name="title" label="Title" fault={fault('title')}>
        {(props) => <input {...props} autofocus required placeholder="What to do, in one line" value={draft.title}
          onInput={(e) => set({ title: e.currentTarget.value })} />}
      </Field>
      <Field name="description" label="Description" isOptional fault={fault('description')}>
        {(props) => <textarea {...props} rows={2} value={draft.description}
          onInput={(e) => set({ description: e.currentTarget.value })} />}
      </Field>
      <div class="two">
        <Field name="type" label="Type" isOptional fault={fault('type')}>
          {(props) => <input {...props} list="types" placeholder="coding" value={draft.type}
            onInput={(e) => set({ type: e.currentTarget.value.trim() })} />}
        </Field>
        <Field name="priority" label="Priority" fault={fault('priority')}>
          {(props) => (
            <select {...props} value={draft.priority} onChange={(e) => set({ priority: e.currentTarget.value as Priority })}>
              {Object.entries(priorityWords).map(([key, word]) => <option key={key} value={key}>{word}</option>)}
            </select>
          )}
        </Field>
        <Field name="capabilities" label="Also needs" isOptional fault={fault('capabilities')}>
          {(props) => <input {...props} placeholder="testing, documentation" value={draft.capabilities}
            onInput={(e) => set({ capabilities: e.currentTarget.value })} />}
        </Field>
        <Field name="runAt" label="Not before" isOptional fault={fault('runAt')}>
          {(props) => <input {...props} type="datetime-local" value={draft.runAt}
            onInput={(e) => set({ runAt: e.currentTarget.value })} />}
        </Field>
        {isFleet.value && (
          <Field name="node" label="Node" isOptional fault={fault('node')}>
            {(props) => (
              <select {...props} value={draft.node} onChange={(e) => set({ node: e.currentTarget.value })}>
                <option value="">Any</option>
                {nodes.value.map(({ name }) => <option key={name} value={name}>{name}</option>)}
              </select>
            )}
          </Field>
        )}
      </div>
      <datalist id="types">{types.map((type) => <option key={type} value={type} />)}</datalist>
    </>
  );
}

function Form({ close }: { close: () => void }) {
  const [draft, setDraft] = useState<Draft>({ ...empty, profile: assigning.value ?? '' });
  const [error, setError] = useState<ApiError | null>(null);
  const [isSending, setSending] = useState(false);
  const set = (change: Partial<Draft>) => setDraft((old) => ({ ...old, ...change }));
  const wrong = fieldOf(error);
  const known = ['title', 'description', 'type', 'priority', 'capabilities', 'runAt', 'node'];
  const fault = (name: string) => (wrong === name ? (error!.reason ?? error!.message) : null);

  const submit = async (event: Event) => {
    event.preventDefault();
    setSending(true);
    setError(null);
    try {
      const { task } = draft.profile ? await api.assign(draft.profile, taskOf(draft)) : await api.submit(taskOf(draft));
      const place = task.pending?.position;
      toast.value = { text: `#${task.id} assigned to ${roleOf(task.profile)}${place ? `, place ${place} in its queue` : ''}.` };
      poke();
      close();
    } catch (fault) {
      setError(fault as ApiError);
      document.getElementById(`field-${fieldOf(fault as ApiError)}`)?.focus();
    } finally {
      setSending(false);
    }
  };

  return (
    <form onSubmit={(event) => void submit(event)} noValidate>
      <h2 id="assign-title">Assign task</h2>
      <Fields draft={draft} set={set} fault={fault} />
      <ProfileChoice draft={draft} set={set} />
      {!draft.profile && <BestMatch task={taskOf(draft)} />}
      {error && !known.includes(wrong ?? '') && <p class="banner bad" role="alert"><span>{error.message}</span></p>}
      {isAway.value && (
        <p class="banner bad" role="status"><span>The daemon is not answering. Your input is kept until it does.</span></p>
      )}
      <footer>
        <button type="button" class="button" onClick={close}>Cancel</button>
        <button class="button is-primary" disabled={isSending || isAway.value}>Assign task</button>
      </footer>
    </form>
  );
}

export function AssignDialog() {
  const close = () => (assigning.value = null);
  return (
    <Dialog isOpen={assigning.value !== null} titleId="assign-title" onClose={close}>
      <Form close={close} />
    </Dialog>
  );
}
