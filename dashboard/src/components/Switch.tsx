export function Switch(props: { isOn: boolean; isDisabled: boolean; label: string; onToggle: () => void }) {
  return (
    <button type="button" class="switch" role="switch" aria-checked={props.isOn} aria-label={props.label}
      disabled={props.isDisabled} onClick={props.onToggle}>
      <i />
    </button>
  );
}
