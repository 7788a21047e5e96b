// Data that one view shows: loaded when its key changes, and again with every pulse of the store.
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from './api';
import { pulse } from './store';

export interface Live<T> {
  data: T | null;
  error: ApiError | null;
}

/** `key` says what is loaded: another key drops the data. Keeps showing the old data while it loads. */
export function useLive<T>(key: string, load: () => Promise<T>): Live<T> {
  const [live, setLive] = useState<Live<T> & { key: string }>({ key, data: null, error: null });
  const loader = useRef(load);
  loader.current = load;
  const beat = pulse.value;

  useEffect(() => {
    let isCurrent = true;
    loader.current().then(
      (data) => isCurrent && setLive({ key, data, error: null }),
      (error: unknown) => {
        if (!isCurrent) return;
        const said = error instanceof ApiError ? error : new ApiError(0, String(error));
        // What is away comes back: its data stays.
        setLive((old) => ({ key, data: said.isAway && old.key === key ? old.data : null, error: said }));
      });
    return () => void (isCurrent = false);
  }, [key, beat]);
  return live.key === key ? live : { data: null, error: null };
}
