import { isHelpOpen } from '../store';
import { shortcuts } from '../keys';
import { Dialog } from './Dialog';

export function Help() {
  return (
    <Dialog isOpen={isHelpOpen.value} titleId="help-title" onClose={() => (isHelpOpen.value = false)}>
      <form method="dialog">
        <h2 id="help-title">Keyboard shortcuts</h2>
        <dl class="shortcuts">
          {shortcuts.map(([keys, words]) => (
            <div key={words}>
              <dt>{keys.map((key) => <kbd key={key}>{key}</kbd>)}</dt>
              <dd>{words}</dd>
            </div>
          ))}
        </dl>
        <footer><button class="button">Close</button></footer>
      </form>
    </Dialog>
  );
}
