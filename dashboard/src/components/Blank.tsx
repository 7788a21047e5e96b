import type { ComponentChildren } from 'preact';
import { failure } from '../store';
import { reconnect } from '../live';
import { Icon, type IconName } from './Icon';

/** Shown instead of an empty list: what that means, and what to do. */
export function Blank(props: { icon: IconName; title: string; isBad?: boolean; children: ComponentChildren }) {
  return (
    <div class={`card blank ${props.isBad ? 'is-bad' : ''}`} role={props.isBad ? 'alert' : undefined}>
      <span class="blank-icon"><Icon name={props.icon} size={22} /></span>
      <h2>{props.title}</h2>
      {props.children}
    </div>
  );
}

/** Nothing could be loaded so far. */
export function AwayCard() {
  return (
    <Blank icon="plug" title="The daemon is not answering" isBad>
      <p>{failure.value?.message}</p>
      <p class="sub">Is <code>acpd</code> running?</p>
      <button type="button" class="button" onClick={reconnect}>Try now</button>
    </Blank>
  );
}
