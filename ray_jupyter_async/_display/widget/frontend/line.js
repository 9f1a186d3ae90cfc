/**
 * One line: the refs of one name as a bar, in counts and in words.
 */

import { Details } from "./details.js";
import { make, makeButton, setAttribute, setText, setVisible } from "./elements.js";
import { formatElapsed, formatGuess, formatRate, grouped } from "./words.js";

/** @typedef {import("./kernel_link.js").KernelLink} KernelLink */

/**
 * @typedef {object} Line The refs of one name.
 * @property {string} name
 * @property {number} total
 * @property {number} resolved
 * @property {number} ready
 * @property {number} failed
 * @property {number} cancelled
 * @property {number} released
 * @property {number} unknown Ended; whether as values is not known.
 * @property {number} pending
 * @property {number} running Of the pending ones.
 * @property {number} cancelling Of the pending ones.
 * @property {number} stragglers Of the running ones.
 * @property {string} reason Why the pending ones wait, or are out of date; "" when unknown.
 * @property {number | null} rate Refs settled per second.
 * @property {number | null} eta_s Seconds until all have settled.
 * @property {number} elapsed_s Seconds from the first await to the last change, or to now.
 * @property {string} errors Error classes, in words.
 * @property {boolean} force Whether some were asked to end, in vain so far.
 * @property {number} retry Failed tasks that can be submitted again.
 */

const MARKS = {
  running: "",
  failing: "✕",
  failed: "✕",
  cancelled: "⊘",
  unknown: "?",
  released: "–",
  done: "✓",
};

/**
 * Whether all that is pending was asked to end, in vain: force would end nothing
 * that nobody has asked to end.
 *
 * @param {Line} line
 */
export function isForceable({ force, cancelling, pending }) {
  return force && cancelling === pending;
}

/** @param {Line} line */
function markOf(line) {
  if (line.pending) return line.failed ? "failing" : "running";
  if (line.failed) return "failed";
  if (line.cancelled) return "cancelled";
  if (line.unknown) return "unknown";
  return line.released ? "released" : "done";
}

/** @param {Line} line */
function doneOf(line) {
  return line.resolved + line.ready;
}

/**
 * What there is to say beside done/total: state and words.
 *
 * @param {Line} line
 * @returns {Record<Note, string>}
 */
function notesOf(line) {
  const { pending, running, cancelling, stragglers } = line;
  const { failed, cancelled, released, unknown } = line;
  const waiting = pending - running - cancelling;
  const open = [
    running && `${grouped(running)} running`,
    cancelling && `${grouped(cancelling)} cancelling`,
    waiting && `${grouped(waiting)} pending`,
  ].filter(Boolean);
  const slow = `${grouped(stragglers)} much slower than the others`;
  return {
    failed: failed ? `${grouped(failed)} failed (${line.errors})` : "",
    cancelled: cancelled ? `${grouped(cancelled)} cancelled` : "",
    released: released ? `${grouped(released)} released` : "",
    unknown: unknown ? `${grouped(unknown)} ended, outcome unknown` : "",
    stragglers: stragglers ? slow : "",
    pending: open.join(", ") + (line.reason ? `: ${line.reason}` : ""),
    // A line that says something has its height from the start.
    done: pending || failed || cancelled || released || unknown ? "" : "all done",
  };
}

/**
 * @typedef {"failed" | "cancelled" | "released" | "unknown" | "stragglers" | "pending" |
 *   "done"} Note
 */

/** @type {readonly ("done" | "failed" | "cancelled" | "running" | "cancelling")[]} */
const SEGMENTS = ["done", "failed", "cancelled", "cancelling", "running"];

/** Its nodes are made once and changed in place. */
export class Row {
  /**
   * @param {string} name
   * @param {KernelLink} link
   * @param {(said: string) => void} say
   */
  constructor(name, link, say) {
    this.name = name;
    this.link = link;
    this.say = say;
    /** @type {Details | null} */
    this.details = null;
    /** @type {Line | null} */
    this.line = null;
    this.since = 0;

    this.root = make("div", "rja-row");
    this.root.dataset.name = name;
    this.toggle = makeButton("rja-toggle", "", () => this.open(!this.details));
    this.toggle.setAttribute("aria-expanded", "false");
    this.mark = make("span", "rja-mark", { "aria-hidden": "true" });
    const title = make("span", "rja-name");
    title.textContent = name;
    this.toggle.title = name;
    this.toggle.append(
      make("span", "rja-chevron", { "aria-hidden": "true" }),
      this.mark,
      title,
    );

    this.bar = make("div", "rja-bar", { role: "progressbar", "aria-valuemin": "0" });
    this.bar.setAttribute("aria-label", name);
    this.segments = SEGMENTS.map((state) => {
      const segment = make("span", `rja-segment rja-fill-${state}`);
      this.bar.append(segment);
      return { state, segment };
    });
    this.count = make("span", "rja-count");
    this.time = make("span", "rja-time");
    this.rate = make("span", "rja-rate");
    this.eta = make("span", "rja-eta");
    this.cancel = makeButton("rja-cancel", "Cancel", () => {
      link.ask(this.line && isForceable(this.line) ? "force" : "cancel", {
        line: name,
      });
    });
    this.notes = make("div", "rja-notes");
    this.told = {
      failed: make("span", "rja-note rja-note-failed"),
      cancelled: make("span", "rja-note rja-note-cancelled"),
      released: make("span", "rja-note rja-note-released"),
      unknown: make("span", "rja-note rja-note-unknown"),
      stragglers: make("span", "rja-note rja-note-stragglers"),
      pending: make("span", "rja-note rja-note-pending"),
      done: make("span", "rja-note rja-note-done"),
    };
    this.retry = makeButton("rja-retry", "Retry failed", () =>
      link.ask("retry", { line: name }),
    );
    this.retry.setAttribute("aria-label", `Retry failed ${name}`);
    this.notes.append(...Object.values(this.told), this.retry);
    const { toggle, bar, count, time, rate, eta, cancel, notes } = this;
    this.root.append(toggle, bar, count, time, rate, eta, cancel, notes);
  }

  /** @param {Line} line */
  show(line) {
    this.line = line;
    const done = doneOf(line);
    const { dataset } = this.root;
    for (const key of /** @type {const} */ ([
      "total",
      "resolved",
      "ready",
      "failed",
      "cancelled",
      "released",
      "unknown",
      "pending",
      "running",
    ])) {
      dataset[key] = String(line[key]);
    }
    const mark = markOf(line);
    dataset.mark = mark;
    setText(this.mark, MARKS[mark]);
    const counts = { ...line, done };
    for (const { state, segment } of this.segments) {
      segment.hidden = !counts[state];
      segment.style.width = `${line.total ? (100 * counts[state]) / line.total : 0}%`;
    }
    setText(this.count, `${grouped(done)}/${grouped(line.total)}`);
    setText(
      this.rate,
      line.rate === null || !line.pending ? "" : formatRate(line.rate),
    );
    const notes = notesOf(line);
    for (const [state, words] of Object.entries(notes)) {
      setText(this.told[/** @type {keyof typeof notes} */ (state)], words);
    }
    this.showSaid(line, done, notes);
    // Who pressed it by key goes on from the line's name.
    if (!line.retry && document.activeElement === this.retry) this.toggle.focus();
    this.retry.hidden = !line.retry;
    setVisible(this.cancel, line.pending > 0);
    const asked = line.pending > 0 && line.cancelling === line.pending;
    this.cancel.disabled = asked && !line.force;
    const verb = isForceable(line) ? "Force" : asked ? "Cancelling" : "Cancel";
    setText(this.cancel, verb);
    setAttribute(this.cancel, "aria-label", `${verb} ${line.name}`);
    this.since = performance.now();
    this.tick();
    this.details?.show(line);
  }

  /**
   * @param {Line} line
   * @param {number} done
   * @param {{ failed: string, cancelled: string, released: string, unknown: string }} notes
   */
  showSaid(line, done, { failed, cancelled, released, unknown }) {
    const of = `${grouped(done)} of ${grouped(line.total)} done`;
    const said = [of, failed, cancelled, released, unknown];
    setAttribute(this.bar, "aria-valuemax", String(line.total));
    setAttribute(this.bar, "aria-valuenow", String(line.total - line.pending));
    setAttribute(this.bar, "aria-valuetext", said.filter(Boolean).join(", "));
  }

  /**
   * Whether nothing can be asked of the kernel: what is open can be closed.
   *
   * @param {boolean} inert
   */
  setInert(inert) {
    this.toggle.disabled = inert && !this.details;
    if (inert) this.tick(true);
  }

  /** Moves the times on, between two messages of the kernel. */
  tick(paused = false) {
    const { line } = this;
    if (!line) return;
    const moving = line.pending && !paused;
    const more = moving ? (performance.now() - this.since) / 1000 : 0;
    setText(this.time, formatElapsed(line.elapsed_s + more));
    const left = line.eta_s === null ? null : Math.max(0, line.eta_s - more);
    setText(this.eta, line.pending && left !== null ? `${formatGuess(left)} left` : "");
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
      this.details = new Details(this.name, this.link, this.say);
      this.toggle.setAttribute("aria-controls", this.details.id);
      this.root.append(this.details.root);
      if (this.line) this.details.show(this.line);
    }
    setAttribute(this.toggle, "aria-expanded", String(open));
  }

  end() {
    this.open(false);
    this.root.remove();
  }
}
