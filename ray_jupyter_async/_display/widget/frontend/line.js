/** One line: the refs of one name as a bar, in counts and in words. */

import { Details } from "./details.js";
import { make, makeButton, named, setAttribute, setText } from "./elements.js";
import { formatElapsed } from "./words.js";

/** @typedef {import("./kernel.js").KernelLink} KernelLink */
/** @typedef {import("./messages.js").Line} Line */

/** @type {readonly ("done" | "failed" | "cancelled" | "cancelling" | "running")[]} */
const SEGMENTS = ["done", "failed", "cancelled", "cancelling", "running"];

// A disabled button asks for nothing.
/** @type {(button: HTMLButtonElement, state: import("./messages.js").Button) => void} */
export function showButton(button, { do: what, text, label }) {
  button.disabled = !what;
  setText(button, text);
  setAttribute(button, "aria-label", label);
}

/** Its nodes are made once and changed in place. */
export class Row {
  /** @type {Details | null} */
  details = null;
  since = 0;
  mark = make("span", "rja-mark", { "aria-hidden": "true" });
  segments = SEGMENTS.map((state) => make("span", `rja-segment rja-fill-${state}`));
  count = make("span", "rja-count");
  time = make("span", "rja-time");
  rate = make("span", "rja-rate");
  left = make("span", "rja-eta");
  notes = make("div", "rja-notes");
  root = make("div", "rja-row");

  /** @param {Line} line @param {KernelLink} link @param {(said: string) => void} say */
  constructor(line, link, say) {
    const { name } = line;
    this.line = line;
    this.link = link;
    this.say = say;
    this.root.dataset.name = name;
    this.toggle = makeButton("rja-toggle", "", () => this.open(!this.details));
    this.toggle.title = name;
    this.toggle.setAttribute("aria-expanded", "false");
    const chevron = make("span", "rja-chevron", { "aria-hidden": "true" });
    this.toggle.append(chevron, this.mark, make("span", "rja-name", {}, name));
    const bar = named("progressbar", name, { "aria-valuemin": "0" });
    this.bar = make("div", "rja-bar", bar, ...this.segments);
    this.cancel = makeButton("rja-small rja-end rja-cancel", "", () => {
      const what = this.line.cancel.do;
      if (what) link.ask(what, { line: name });
    });
    this.retry = makeButton("rja-small rja-retry", "Retry failed", () =>
      link.ask("retry", { line: name }),
    );
    this.retry.setAttribute("aria-label", `Retry failed ${name}`);
    this.notes.append(this.retry);
    this.root.append(this.toggle, this.bar, this.count, this.time, this.rate);
    this.root.append(this.left, this.cancel, this.notes);
  }

  /** @param {Line} line */
  show(line) {
    this.line = line;
    const { dataset } = this.root;
    for (const [key, value] of Object.entries(line)) {
      if (typeof value === "number") dataset[key] = String(value);
    }
    dataset.mark = line.mark;
    setText(this.mark, line.sign);
    const counts = { ...line, done: line.resolved + line.ready };
    this.segments.forEach((segment, i) => {
      const count = counts[SEGMENTS[i] ?? "done"];
      segment.hidden = !count;
      segment.style.width = `${(100 * count) / line.total}%`;
    });
    setText(this.count, line.done);
    setText(this.rate, line.rate);
    setText(this.left, line.left);
    this.showNotes(line.notes);
    setAttribute(this.bar, "aria-valuemax", String(line.total));
    setAttribute(this.bar, "aria-valuenow", String(line.total - line.pending));
    setAttribute(this.bar, "aria-valuetext", line.spoken);
    // The focus moves on from a button that goes.
    if (!line.retry && document.activeElement === this.retry) this.toggle.focus();
    this.retry.hidden = !line.retry;
    this.cancel.style.visibility = line.pending ? "" : "hidden";
    showButton(this.cancel, line.cancel);
    this.since = performance.now();
    this.tick();
    this.details?.show(line);
  }

  /** @param {[string, string][]} notes */
  showNotes(notes) {
    const spans = this.notes.getElementsByTagName("span");
    while (spans.length < notes.length) this.retry.before(make("span", ""));
    [...spans].forEach((span, i) => {
      const [state, words] = notes[i] ?? ["", ""];
      span.className = `rja-note rja-note-${state}`;
      setText(span, words);
    });
  }

  /** Whether the kernel answers nothing: what is open can be closed. @param {boolean} inert */
  setInert(inert) {
    this.toggle.disabled = inert && !this.details;
    if (inert) this.tick(true);
  }

  /** Moves the time on, between two messages of the kernel. */
  tick(paused = false) {
    const { pending, elapsed_s } = this.line;
    const moving = pending && !paused;
    const more = moving ? (performance.now() - this.since) / 1000 : 0;
    setText(this.time, formatElapsed(elapsed_s + more));
    if (!paused) this.details?.refresh();
  }

  /** @param {boolean} open */
  open(open) {
    if (open === Boolean(this.details)) return;
    if (this.details) {
      this.details.end();
      this.details = null;
      this.toggle.removeAttribute("aria-controls");
    } else {
      this.details = new Details(this.line.name, this.link, this.say);
      this.toggle.setAttribute("aria-controls", this.details.id);
      this.root.append(this.details.root);
      this.details.show(this.line);
    }
    setAttribute(this.toggle, "aria-expanded", String(open));
  }

  end() {
    this.open(false);
    this.root.remove();
  }
}
