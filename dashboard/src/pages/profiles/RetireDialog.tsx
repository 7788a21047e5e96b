import { api } from '../../api';
import { Dialog } from '../../components/Dialog';
import { attempt, isAway, toast } from '../../store';

/** Asks before a node is retired, which cannot be undone from here. */
export function RetireDialog({ name, onClose }: { name: string | null; onClose: () => void }) {
  const retire = async (event: Event) => {
    event.preventDefault();
    onClose();
    if (await attempt(() => api.retire(name!))) toast.value = { text: `Node ${name} takes no more tasks.` };
  };
  return (
    <Dialog isOpen={name !== null} titleId="retire-title" onClose={onClose}>
      <form onSubmit={(event) => void retire(event)}>
        <h2 id="retire-title">Retire node {name}?</h2>
        <p>
          The node takes no new tasks and stops once its running tasks have finished. If it serves this page, the page
          will disconnect. To bring the node back, restart acpd on it.
        </p>
        <footer>
          <button type="button" class="button" onClick={onClose}>Cancel</button>
          <button class="button is-danger" disabled={isAway.value}>Retire</button>
        </footer>
      </form>
    </Dialog>
  );
}
