import type { ComponentChildren } from 'preact';

/** One figure of a strip: label, value and note. */
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
