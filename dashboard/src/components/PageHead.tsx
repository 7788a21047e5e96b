import type { ComponentChildren } from 'preact';

/** A page's heading, focused on navigation, and its tools. */
export function PageHead({ title, children }: { title: ComponentChildren; children?: ComponentChildren }) {
  return (
    <div class="page-head">
      <h1 tabIndex={-1}>{title}</h1>
      {children && <div class="tools">{children}</div>}
    </div>
  );
}
