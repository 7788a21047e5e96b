interface Props<T extends string> {
  label: string;
  value: T;
  options: [T, string][];
  onChange: (value: T) => void;
}

/** A choice of a few visible options. */
export function Segmented<T extends string>({ label, value, options, onChange }: Props<T>) {
  const name = label.replaceAll(' ', '-').toLowerCase();
  return (
    <div class="segmented" role="radiogroup" aria-label={label}>
      {options.map(([key, text]) => (
        <label key={key} class={key === value ? 'is-on' : ''}>
          <input type="radio" name={name} checked={key === value} onChange={() => onChange(key)} />
          {text}
        </label>
      ))}
    </div>
  );
}
