// Computed colours for canvases: resolves tokens, light-dark() and color-mix().

/** The computed value of any CSS colour in the element's theme. */
export function resolveColor(element: Element, color: string): string {
  const probe = document.createElement('i');
  probe.style.color = color;
  element.append(probe);
  const computed = getComputedStyle(probe).color;
  probe.remove();
  return computed;
}
