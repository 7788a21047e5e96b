import type { ComponentChildren } from 'preact';

/** One figure of a strip: what it is, the value, and what stands beside it. */
export function Stat(props: { name: string; value: ComponentChildren; children?: ComponentChildren }) {
  return (
    <div class="stat">
      <dt>{props.name}</dt>
      <dd>
        <span class="value">{props.value}</span>
        {props.children}
      </dd>
    </div>
  );
}
