import type { ComponentChildren } from 'preact';

interface Control {
  id: string;
  name: string;
  'aria-invalid'?: boolean;
  'aria-describedby'?: string;
}

interface Props {
  name: string;
  label: string;
  isOptional?: boolean;
  fault: string | null;
  children: (control: Control) => ComponentChildren;
}

/** A labelled control, with the daemon's error below. */
export function Field({ name, label, isOptional, fault, children }: Props) {
  const id = `field-${name}`;
  const control: Control = { id, name };
  if (fault) Object.assign(control, { 'aria-invalid': true, 'aria-describedby': `${id}-fault` });
  return (
    <div class="field">
      <label for={id}>{label} {isOptional && <span class="optional">(optional)</span>}</label>
      {children(control)}
      {fault && <span class="field-error" id={`${id}-fault`} role="alert">{label} {fault}</span>}
    </div>
  );
}
