/** The few ways in which the page touches the document. Text is only ever set as text. */

type Attributes = Readonly<Record<string, string | number | boolean>>;

/** `true` sets an empty attribute, `false` none. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

export function makeSvg(tag: string, attributes: Attributes, ...children: Node[]): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

/** The element of page.html with that id. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`page.html has no #${id}`);
  return element;
}

/** Writes only what changed: a screen reader need not hear the same again. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** A color of style.css as canvas can use it, `light-dark()` and `color-mix()` resolved. */
export function colorOf(css: string): string {
  const key = `${themeKey()} ${css}`;
  const known = colors.get(key);
  if (known !== undefined) return known;
  probe.style.color = css;
  if (!probe.isConnected) document.body.append(probe);
  const { color } = getComputedStyle(probe);
  colors.set(key, color);
  return color;
}

/** Changes when the colors do. */
export function themeKey(): string {
  const chosen = document.documentElement.dataset['theme'] ?? 'auto';
  return chosen === 'auto' ? (prefersDark.matches ? 'dark' : 'light') : chosen;
}

// --- internal ---

const probe = document.createElement('span');
probe.hidden = true;
const colors = new Map<string, string>();
const prefersDark = matchMedia('(prefers-color-scheme: dark)');

function setAttributes(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? '' : String(value));
  }
}
