import { useEffect, useState } from 'preact/hooks';
import { toast, undo } from '../store';
import { Icon } from './Icon';

const SHOWN_MS = 8000;

export function Toasts() {
  const shown = toast.value;
  const close = () => (toast.value = null);
  const [isHeld, setHeld] = useState(false); // by pointer or focus
  useEffect(() => {
    if (!shown || isHeld) return;
    const timer = setTimeout(() => toast.peek() === shown && close(), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [shown, isHeld]);
  useEffect(() => setHeld(false), [shown]);
  return (
    <div class="toasts" aria-live="polite">
      {shown && (
        <div class="toast" onMouseEnter={() => setHeld(true)} onMouseLeave={() => setHeld(false)}
          onFocusIn={() => setHeld(true)} onFocusOut={() => setHeld(false)}>
          {shown.isError && <Icon name="warn" />}
          <span>{shown.text}</span>
          {shown.undo && (
            <button type="button" class="text-button" title="u" onClick={undo}>Undo</button>
          )}
          <button type="button" class="icon-button" aria-label="Dismiss" onClick={close}>
            <Icon name="x" size={14} />
          </button>
        </div>
      )}
    </div>
  );
}
