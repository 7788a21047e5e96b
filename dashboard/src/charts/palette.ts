// Colours as a canvas needs them: tokens, and what light-dark() and color-mix() make of them.

/** The computed colour of any CSS colour, within the element's theme. */
export function resolveColor(element: Element, color: string): string {
  const probe = document.createElement('i');
  probe.style.color = color;
  element.append(probe);
  const computed = getComputedStyle(probe).color;
  probe.remove();
  return computed;
}
