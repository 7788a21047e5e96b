import { useEffect } from 'preact/hooks';
import { toast } from '../store';
import { Icon } from './Icon';

const SHOWN_MS = 8000;

export function Toasts() {
  const shown = toast.value;
  const close = () => (toast.value = null);
  useEffect(() => {
    if (!shown) return;
    const timer = setTimeout(() => toast.peek() === shown && close(), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [shown]);
  return (
    <div class="toasts" aria-live="polite">
      {shown && (
        <div class="toast">
          {shown.isError && <Icon name="warn" />}
          <span>{shown.text}</span>
          {shown.undo && (
            <button type="button" class="text-button" onClick={() => { close(); shown.undo!(); }}>Undo</button>
          )}
          <button type="button" class="icon-button" aria-label="Dismiss" onClick={close}>
            <Icon name="x" size={14} />
          </button>
        </div>
      )}
    </div>
  );
}
