import { useEffect, useRef, useState } from 'preact/hooks';
import { api, type Permission } from '../../api';
import { Blank } from '../../components/Blank';
import { Swatch, When } from '../../components/marks';
import { PageHead } from '../../components/PageHead';
import { SkeletonRows } from '../../components/Skeleton';
import { attempt, colorOf, isAway, permissions, roleOf } from '../../store';

const SETTLE_MS = 700;

const rejects = (kind: string): boolean => kind.startsWith('reject');

/** What the agent wants to do, in its own words, which may be untrue. */
function ToolCall({ call }: { call: Permission['toolCall'] }) {
  const { title, kind, locations } = call;
  const raw = call.rawInput === undefined ? null
    : typeof call.rawInput === 'string' ? call.rawInput : JSON.stringify(call.rawInput, null, 2);
  return (
    <>
      <p class="question-title">
        {typeof title === 'string' ? title : 'use a tool'} {typeof kind === 'string' && <span class="pill off">{kind}</span>}
      </p>
      {Array.isArray(locations) && locations.map(({ path }) => <code key={path}>{String(path)}</code>)}
      {raw && raw !== '{}' && <pre tabIndex={0}>{raw}</pre>}
    </>
  );
}

const isOpen = (question: Permission, among: Permission[] | null): boolean =>
  among?.some(({ id }) => id === question.id) ?? false;

export function Question({ question }: { question: Permission }) {
  const [isAnswering, setAnswering] = useState(false);
  const answer = async (optionId: string) => {
    setAnswering(true);
    if (!(await attempt(() => api.answer(question.id, optionId)))) setAnswering(false);
  };
  return (
    <li class="card question">
      <p class="who">
        <Swatch color={colorOf(question.profile)} />
        <b>{roleOf(question.profile)}</b>
        <span class="muted">asks about</span>
        <a href={`/tasks/${question.taskId}`}>#{question.taskId}</a>
        <span class="muted"><When at={question.askedAt} />; rejected <When at={question.deadline} /></span>
      </p>
      <ToolCall call={question.toolCall} />
      <div class="question-options">
        {question.options.map((option) => (
          <button type="button" key={option.optionId} disabled={isAway.value || isAnswering || !isOpen(question, permissions.value)}
            class={`button ${rejects(option.kind) ? '' : 'is-primary'}`}
            onClick={() => void answer(option.optionId)}>
            {option.name}
          </button>
        ))}
      </div>
    </li>
  );
}

/** The questions. A closed one stays visible for a moment, so that a double click does not answer
 *  the next one. */
function useSettled(questions: Permission[] | null): Permission[] | null {
  const [shown, setShown] = useState(questions);
  const latest = useRef(questions);
  latest.current = questions;
  const isShort = shown?.some((old) => !isOpen(old, questions)) ?? false;
  useEffect(() => {
    if (!isShort) setShown(questions);
  }, [questions, isShort]);
  useEffect(() => {
    if (!isShort) return;
    const timer = setTimeout(() => setShown(latest.current), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [isShort]);
  return shown;
}

/** The agents' open questions. */
export function PermissionsPage() {
  const questions = useSettled(permissions.value);
  return (
    <>
      <PageHead title="Inbox" />
      {!questions ? <SkeletonRows label="Loading questions" rows={3} /> : questions.length ? (
        <ul class="questions">{questions.map((question) => <Question key={question.id} question={question} />)}</ul>
      ) : (
        <Blank icon="inbox" title="No questions">
          <p>When an agent asks for a permission that its profile's rules do not decide, the question waits here for your answer.</p>
        </Blank>
      )}
    </>
  );
}
