/**
 * Small helpers that make elements and change them only where they differ.
 */

/**
 * Makes an element. What can have the focus keeps its keys from JupyterLab, which
 * would move, cut and delete cells; it looks at the focused element alone for that.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} className
 * @param {Record<string, string>} [attributes]
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, className, attributes = {}) {
  const made = document.createElement(tag);
  made.className = className;
  for (const [name, value] of Object.entries(attributes))
    made.setAttribute(name, value);
  if (made.tabIndex >= 0) made.dataset.lmSuppressShortcuts = "true";
  return made;
}

/**
 * @param {string} className
 * @param {string} text
 * @param {() => void} onClick
 */
export function makeButton(className, text, onClick) {
  const button = make("button", `rja-button ${className}`, { type: "button" });
  button.textContent = text;
  button.addEventListener("click", onClick);
  return button;
}

/**
 * Writes a text only where it differs, so that an unchanged one is neither laid
 * out nor read out again.
 *
 * @param {HTMLElement} target
 * @param {string} text
 */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * @param {Element} target
 * @param {string} name
 * @param {string} value
 */
export function setAttribute(target, name, value) {
  if (target.getAttribute(name) !== value) target.setAttribute(name, value);
}

/**
 * Hides something whose place stays: what is beside it must not jump.
 *
 * @param {HTMLElement} target
 * @param {boolean} visible
 */
export function setVisible(target, visible) {
  const value = visible ? "" : "hidden";
  if (target.style.visibility !== value) target.style.visibility = value;
}

let ids = 0;

/** Gives an id that no other element of the page has. */
export function uniqueId() {
  ids += 1;
  return `rja-${viewId()}-${ids}`;
}

let ofThisPage = "";

/** Tells this page from all others that show the same widget. */
export function viewId() {
  ofThisPage ||= Math.random().toString(36).slice(2, 10);
  return ofThisPage;
}
