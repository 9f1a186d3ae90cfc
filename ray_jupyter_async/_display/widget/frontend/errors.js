/** The errors of a line, grouped, with their tracebacks. */

import { make, makeButton, named, setText } from "./elements.js";
import { grouped } from "./words.js";

/** @typedef {import("./messages.js").ErrorGroup} ErrorGroup */

// Also where a page may not write to the clipboard by itself.
/** @type {(text: string, near: HTMLElement) => Promise<void>} */
async function copy(text, near) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", "rja-unseen", {}, text);
    near.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** Errors of one class and message; its nodes are made once and changed in place. */
class Group {
  /** @type {ErrorGroup} */
  group = { kind: "", message: "", count: 0, short: "", full: "" };
  whole = false;
  count = make("span", "rja-error-count");
  kind = make("span", "rja-error-kind");
  message = make("span", "rja-error-message");

  /** @param {(said: string) => void} say */
  constructor(say) {
    const title = make("summary", "rja-button rja-error-toggle", {
      "data-lm-suppress-shortcuts": "true",
    });
    title.append(this.count, this.kind, " ", this.message);
    const region = named("region", "Traceback", { tabindex: "0" });
    this.traceback = make("pre", "rja-traceback", region);
    this.fuller = makeButton("rja-small", "", () => {
      this.whole = !this.whole;
      this.show(this.group);
    });
    const copier = makeButton("rja-small", "Copy error", async () => {
      await copy(this.text, this.root);
      say("Copied the error");
      copier.focus();
    });
    const buttons = make("div", "rja-error-buttons", {}, this.fuller, copier);
    const more = make("div", "rja-error-more", {}, this.traceback, buttons);
    this.details = make("details", "", {}, title, more);
    this.root = make("li", "rja-error", {}, this.details);
  }

  get text() {
    const { kind, message, short, full } = this.group;
    const title = [kind, message].filter(Boolean).join(": ");
    return [title, full || short].filter(Boolean).join("\n\n");
  }

  /** @param {ErrorGroup} group */
  show(group) {
    this.group = group;
    const { kind, message, count, short, full } = group;
    setText(this.count, `${grouped(count)} ×`);
    setText(this.kind, kind);
    setText(this.message, message);
    const shown = this.whole || !short ? full : short;
    setText(this.traceback, shown || "No traceback is known yet");
    this.fuller.hidden = !short || !full || short === full;
    setText(this.fuller, this.whole ? "Short traceback" : "Full traceback");
  }
}

export class Errors {
  none = make("p", "rja-none");
  list = make("ul", "rja-error-list");
  root = make("div", "rja-errors", {}, this.none, this.list);
  /** @type {Map<string, Group>} */
  groups = new Map();

  /** @param {(said: string) => void} say */
  constructor(say) {
    this.say = say;
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
        if (groups.length === 1) known.details.open = true;
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
