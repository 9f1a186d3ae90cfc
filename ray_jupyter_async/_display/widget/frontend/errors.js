/**
 * The errors of a line, grouped, with their tracebacks.
 */

import { make, makeButton, setAttribute, setText, uniqueId } from "./elements.js";
import { grouped } from "./words.js";

/** @typedef {import("./kernel_link.js").ErrorGroup} ErrorGroup */

/**
 * Copies a text, also where a page may not write to the clipboard by itself.
 *
 * @param {string} text
 * @param {HTMLElement} near
 */
async function copy(text, near) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", "rja-unseen");
    area.value = text;
    near.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** Errors of one class and message; its nodes are made once and changed in place. */
class Group {
  /** @param {(said: string) => void} say */
  constructor(say) {
    this.short = "";
    this.full = "";
    this.whole = false;
    this.root = make("li", "rja-error");
    const id = uniqueId();
    this.toggle = makeButton("rja-error-toggle", "", () => this.open(!this.isOpen));
    this.toggle.setAttribute("aria-controls", id);
    this.count = make("span", "rja-error-count");
    this.kind = make("span", "rja-error-kind");
    this.message = make("span", "rja-error-message");
    this.toggle.append(this.count, this.kind, " ", this.message);
    this.more = make("div", "rja-error-more", { id });
    this.traceback = make("pre", "rja-traceback", { tabindex: "0" });
    this.traceback.setAttribute("aria-label", "Traceback");
    this.traceback.setAttribute("role", "region");
    this.fuller = makeButton("rja-error-full", "", () => {
      this.whole = !this.whole;
      this.write();
    });
    this.copy = makeButton("rja-error-copy", "Copy error", async () => {
      await copy(this.text, this.root);
      say("Copied the error");
      this.copy.focus();
    });
    const buttons = make("div", "rja-error-buttons");
    buttons.append(this.fuller, this.copy);
    this.more.append(this.traceback, buttons);
    this.root.append(this.toggle, this.more);
    this.open(false);
  }

  get isOpen() {
    return !this.more.hidden;
  }

  get text() {
    const title = [this.kind.textContent, this.message.textContent];
    return [title.filter(Boolean).join(": "), this.full || this.short]
      .filter(Boolean)
      .join("\n\n");
  }

  /** @param {boolean} open */
  open(open) {
    this.more.hidden = !open;
    setAttribute(this.toggle, "aria-expanded", String(open));
  }

  /** @param {ErrorGroup} group */
  show({ kind, message, count, short, full }) {
    setText(this.count, `${grouped(count)} ×`);
    setText(this.kind, kind);
    setText(this.message, message);
    this.short = short;
    this.full = full;
    this.write();
  }

  write() {
    const { short, full } = this;
    const shown = this.whole || !short ? full : short;
    setText(this.traceback, shown || "No traceback is known yet");
    this.fuller.hidden = !short || !full || short === full;
    setText(this.fuller, this.whole ? "Short traceback" : "Full traceback");
  }
}

export class Errors {
  /** @param {(said: string) => void} say */
  constructor(say) {
    this.say = say;
    this.root = make("div", "rja-errors");
    this.none = make("p", "rja-none");
    this.list = make("ul", "rja-error-list");
    this.root.append(this.none, this.list);
    /** @type {Map<string, Group>} */
    this.groups = new Map();
    this.show([]);
  }

  /** @param {ErrorGroup[]} groups Most frequent first. */
  show(groups) {
    setText(this.none, groups.length ? "" : "No errors");
    const shown = new Set();
    for (const group of groups) {
      const key = `${group.kind}\n${group.message}`;
      shown.add(key);
      let known = this.groups.get(key);
      if (!known) {
        known = new Group(this.say);
        this.groups.set(key, known);
        // New ones come last, and nothing that is being read moves.
        this.list.append(known.root);
        if (groups.length === 1) known.open(true);
      }
      known.show(group);
    }
    for (const [key, known] of this.groups) {
      if (shown.has(key)) continue;
      known.root.remove();
      this.groups.delete(key);
    }
  }
}
