import { useRef } from 'preact/hooks';
import { api, type Task } from '../../api';
import { Blank } from '../../components/Blank';
import { PriorityMark, Swatch, When } from '../../components/marks';
import { NodeName } from '../../components/NodeName';
import { PageHead } from '../../components/PageHead';
import { StatusPill } from '../../components/Pill';
import { RoutingTable } from '../../components/RoutingTable';
import { SkeletonRows } from '../../components/Skeleton';
import { duration, exact, parse, relative } from '../../format';
import { attempt, colorOf, isAway, nodes, now, permissions, profiles, roleOf } from '../../store';
import { useLive } from '../../useLive';
import { classWord, priorityWords, reasonWords } from '../../words';
import { Question } from '../permissions/PermissionsPage';
import { TaskLog } from './TaskLog';

function Actions({ task }: { task: Task }) {
  const isFinished = task.finishedAt !== null;
  return (
    <>
      {!isFinished && (
        <button type="button" class="button is-danger" disabled={isAway.value}
          onClick={() => void attempt(() => api.cancel(task.id))}>Cancel task</button>
      )}
      {(task.status === 'failed' || task.status === 'cancelled') && (
        <button type="button" class="button is-primary" disabled={isAway.value}
          onClick={() => void attempt(() => api.retry(task.id))}>Retry</button>
      )}
    </>
  );
}

function Waiting({ task }: { task: Task }) {
  const { pending } = task;
  if (!pending) return null;
  return (
    <p class="banner info">
      <span>
        <b>{reasonWords[pending.reason]}</b>
        {pending.position && <>, place {pending.position} in the queue</>}
        {pending.eta && <>, expected <time title={exact(parse(pending.eta))}>{relative(parse(pending.eta), now.value)}</time></>}
        {pending.reason === 'dependency' && <>: {task.dependsOn.map((id) => <a key={id} href={`/tasks/${id}`}>#{id} </a>)}</>}.
      </span>
    </p>
  );
}

/** Of the last lines of stderr, the last one usually matters most. */
function Tail({ text }: { text: string }) {
  const box = useRef<HTMLPreElement>(null);
  return (
    <details onToggle={() => box.current && (box.current.scrollTop = box.current.scrollHeight)}>
      <summary>Last lines of stderr</summary>
      <pre tabIndex={0} ref={box}>{text}</pre>
    </details>
  );
}

function Failure({ task }: { task: Task }) {
  if (!task.error) return null;
  const isOver = task.status === 'failed' || task.status === 'cancelled';
  return (
    <section class={`banner ${task.status === 'failed' ? 'bad' : 'warn'} failure`} aria-label="Error">
      <span>
        <b>{!isOver && 'The last attempt: '}{classWord(task.error.class)}:</b>{' '}
        {task.error.message} <span class="muted">({task.error.class})</span>
        {task.error.tail?.includes('\n') && <Tail text={task.error.tail} />}
      </span>
    </section>
  );
}

type Fact = [string, preact.ComponentChildren];

/** Where it ran, unless there is only one place. */
function nodeFact({ node }: Task): Fact[] {
  return node && nodes.value.some(({ name }) => name !== node) ? [['Node', <NodeName name={node} />]] : [];
}

function Facts({ task }: { task: Task }) {
  const most = task.maxAttempts ?? profiles.value?.find((v) => v.profile.name === task.profile)?.profile.retry.maxAttempts;
  const took = task.startedAt ? ((task.finishedAt ? parse(task.finishedAt) : now.value) - parse(task.startedAt)) / 1000 : null;
  const facts: Fact[] = [
    ['Profile', <a class="who plain" href={`/profiles?profile=${task.profile}`}><Swatch color={colorOf(task.profile)} />{roleOf(task.profile)}</a>],
    ['Priority', <span class="who"><PriorityMark priority={task.priority} />{priorityWords[task.priority]}</span>],
    ['Type', task.type ?? 'none'],
    ['Attempt', most ? `${task.attempt} of at most ${most}` : task.attempt],
    ...nodeFact(task),
    ['Created', <When at={task.createdAt} />],
    ['Started', <When at={task.startedAt} none="not yet" />],
    [task.finishedAt ? 'Took' : 'Running for', task.status === 'running' || task.finishedAt ? duration(took) : 'not running'],
    ['Finished', <When at={task.finishedAt} none="not yet" />],
  ];
  if (task.runAt) facts.push(['Not before', <When at={task.runAt} />]);
  if (task.dependsOn.length)
    facts.push(['Depends on', <>{task.dependsOn.map((id) => <a key={id} href={`/tasks/${id}`}>#{id} </a>)}</>]);
  if (task.capabilities.length) facts.push(['Also needs', task.capabilities.join(', ')]);
  if (task.submittedBy)
    facts.push(['Submitted by', <a href={`/tasks/${task.submittedBy}`}>#{task.submittedBy}</a>]);
  if (task.model) facts.push(['Model', task.model]);
  if (task.mode) facts.push(['Mode', task.mode]);
  for (const [name, value] of Object.entries(task.options ?? {})) facts.push([name, value]);
  if (task.key) facts.push(['Key', <code>{task.key}</code>]);
  return <dl class="facts task-facts">{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>;
}

/** The result of an agent is text; that of a program, whatever it printed. */
function Result({ value }: { value: unknown }) {
  if (value === null || value === undefined) return null;
  const object = typeof value === 'object' ? (value as Record<string, unknown>) : {};
  const text = typeof object.text === 'string' ? object.text : typeof object.output === 'string' ? object.output : null;
  const counts = Object.entries(object.permissions ?? {}).filter(([, n]) => typeof n === 'number' && n > 0);
  return (
    <section class="card text-card">
      <h2>Result</h2>
      <pre tabIndex={0}>{text ?? JSON.stringify(value, null, 2)}</pre>
      {text !== null && counts.length > 0 && (
        <p class="sub counts">Permissions: {counts.map(([what, n]) => `${n} ${what}`).join(', ')}</p>
      )}
    </section>
  );
}

function Request({ task }: { task: Task }) {
  if (!task.description && task.input === null) return null;
  return (
    <section class="card text-card">
      <h2>Task</h2>
      {task.description && <p class="prose">{task.description}</p>}
      {task.input !== null && <pre tabIndex={0}>{JSON.stringify(task.input, null, 2)}</pre>}
    </section>
  );
}

function Routing({ task }: { task: Task }) {
  if (!task.routing) return null;
  return (
    <section class="card">
      <h2 class="card-title">Why it went to {roleOf(task.routing.bestProfile)}</h2>
      <p class="card-text">{task.routing.reason}.</p>
      <RoutingTable candidates={task.routing.candidates} best={task.routing.bestProfile} />
    </section>
  );
}

export function TaskPage({ id }: { id: number }) {
  const { data: task, error } = useLive(`task ${id}`, () => api.task(id));
  if (error && !task)
    return <><PageHead title={`Task ${id}`} /><Blank icon="search" title={error.status === 404 ? 'Task not found' : 'Cannot show the task'}><p>{error.message}</p><a href="/tasks">All tasks</a></Blank></>;
  if (!task) return <><PageHead title={`Task ${id}`} /><SkeletonRows label="Loading task" /></>;
  const questions = (permissions.value ?? []).filter((question) => question.taskId === id);
  return (
    <>
      <PageHead title={<><span class="muted">#{task.id}</span> {task.title}</>}>
        <StatusPill status={task.status} />
        <Actions task={task} />
      </PageHead>
      <Waiting task={task} />
      <Failure task={task} />
      {questions.length > 0 && <ul class="questions">{questions.map((q) => <Question key={q.id} question={q} />)}</ul>}
      <div class="task-columns">
        <div class="column">
          <TaskLog task={task} />
          <Result value={task.result} />
          <Request task={task} />
          <Routing task={task} />
        </div>
        <section class="card text-card" aria-label="Facts"><Facts task={task} /></section>
      </div>
    </>
  );
}
