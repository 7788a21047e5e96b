import { useState } from 'preact/hooks';
import { token } from '../api';
import { reconnect } from '../live';
import { Blank } from './Blank';

/** Asks for the gateway's token, which is kept for this tab only. */
export function TokenCard() {
  const [value, setValue] = useState('');
  const [isWrong, setWrong] = useState(false);
  const submit = (event: Event) => {
    event.preventDefault();
    token.set(value.trim());
    setWrong(true); // while this card is shown
    reconnect();
  };
  return (
    <Blank icon="key" title="Token required">
      <p>Use one from the file given by the gateway's <code>--token-file</code>.</p>
      <form class="token-form" onSubmit={submit}>
        <label class="search">
          <span class="sr-only">Token</span>
          <input type="password" required autocomplete="current-password" value={value}
            onInput={(e) => { setValue(e.currentTarget.value); setWrong(false); }} />
        </label>
        <button class="button is-primary">Continue</button>
      </form>
      {isWrong && <p class="field-error" role="alert">That token was not accepted.</p>}
    </Blank>
  );
}
