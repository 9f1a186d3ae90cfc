/** Helpers that make elements, and change them only where they differ. */

/**
 * Makes an element. One that takes the focus keeps its keys from JupyterLab, which
 * would move, cut and delete cells; it looks at the focused element alone for that.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} className
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, className, attributes = {}, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  if (made.tabIndex >= 0) made.dataset.lmSuppressShortcuts = "true";
  return made;
}

/** @type {(className: string, text: string, onClick: () => void) => HTMLButtonElement} */
export function makeButton(className, text, onClick) {
  const button = make("button", `rja-button ${className}`, { type: "button" }, text);
  button.addEventListener("click", onClick);
  return button;
}

// An unchanged text is neither laid out nor read out again.
/** @type {(target: HTMLElement, text: string) => void} */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** @type {(target: Element, name: string, value: string) => void} */
export function setAttribute(target, name, value) {
  if (target.getAttribute(name) !== value) target.setAttribute(name, value);
}

/** Of this page, among all that show the same widget. */
export const PAGE_ID = Math.random().toString(36).slice(2, 10);

let ids = 0;

/** Returns an id that no other element of the page has. */
export function uniqueId() {
  ids += 1;
  return `rja-${PAGE_ID}-${ids}`;
}

/** @type {(role: string, label: string, more?: Record<string, string>) => Record<string, string>} */
export function named(role, label, more) {
  return { role, "aria-label": label, ...more };
}
