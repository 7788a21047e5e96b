// Data of one view: loaded when its key changes, and again with every pulse of the store.
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from './api';
import { pulse } from './store';

export interface Live<T> {
  data: T | null;
  error: ApiError | null;
}

/** For figures over an hour or more. */
export const FIGURES_MS = 15_000;

const newRounds = (key: string) => ({ key, isLoading: false, isDue: false, at: -Infinity });

/** `key` identifies the data: a new key drops the old data. Otherwise the old data is shown while
 *  new data loads. `everyMs` limits reloads of data that is slow to load or seldom changes. */
export function useLive<T>(key: string, load: () => Promise<T>, everyMs = 0): Live<T> {
  const [live, setLive] = useState<Live<T> & { key: string }>({ key, data: null, error: null });
  const loader = useRef(load);
  loader.current = load;
  const rounds = useRef(newRounds(key));
  if (rounds.current.key !== key) rounds.current = newRounds(key);
  const beat = pulse.value;

  useEffect(() => {
    const mine = rounds.current;
    const isCurrent = () => rounds.current === mine;
    const round = async (): Promise<void> => {
      Object.assign(mine, { isLoading: true, isDue: false, at: Date.now() });
      try {
        const data = await loader.current();
        if (isCurrent()) setLive({ key, data, error: null });
      } catch (error) {
        const said = error instanceof ApiError ? error : new ApiError(0, String(error));
        mine.at = -Infinity;
        // Keep the data while the daemon is away.
        if (isCurrent())
          setLive((old) => ({ key, data: said.isAway && old.key === key ? old.data : null, error: said }));
      }
      mine.isLoading = false;
      if (mine.isDue && isCurrent()) await round();
    };
    // A pulse during a load starts another one afterwards.
    if (mine.isLoading) mine.isDue = everyMs === 0;
    else if (Date.now() - mine.at >= everyMs) void round();
  }, [key, beat]);
  useEffect(() => () => void (rounds.current = newRounds('')), []);
  return live.key === key ? live : { data: null, error: null };
}
