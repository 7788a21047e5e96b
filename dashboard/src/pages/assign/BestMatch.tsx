import { useEffect, useState } from 'preact/hooks';
import { api, ApiError, type Candidate, type NewTask } from '../../api';
import { RoutingTable } from '../../components/RoutingTable';
import { roleOf } from '../../store';

const TYPING_MS = 250;

interface Answer {
  best: string | null;
  candidates: Candidate[];
  reason: string;
  error?: string;
}

/** Where the task would go now, and why; updated while the user types. */
export function BestMatch({ task }: { task: NewTask }) {
  const [answer, setAnswer] = useState<Answer | null>(null);
  const { title: _title, description: _description, ...asked } = task;
  const key = JSON.stringify(asked);

  useEffect(() => {
    let isCurrent = true;
    const timer = setTimeout(() => {
      api.best(asked).then(
        ({ bestProfile, candidates, reason }) =>
          isCurrent && setAnswer({ best: bestProfile?.name ?? null, candidates, reason }),
        (error: ApiError) => isCurrent && setAnswer({ best: null, candidates: [], reason: '', error: error.message }));
    }, TYPING_MS);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [key]);

  if (!answer) return null;
  if (answer.error) return <p class="sub">Cannot determine the best profile: {answer.error}</p>;
  return (
    <section class="best-match" aria-live="polite">
      <p>
        {answer.best ? <>Best match: <b>{roleOf(answer.best)}</b> ({answer.reason}).</> : <>No profile fits: {answer.reason}.</>}
      </p>
      {answer.candidates.length > 0 && <RoutingTable candidates={answer.candidates} best={answer.best} />}
    </section>
  );
}
