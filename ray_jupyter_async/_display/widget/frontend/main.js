/**
 * The progress of one cell: a line for each name, and what can be done about it.
 *
 * Counts come from the one trait `state`, which the kernel alone writes; the refs
 * of open lines come beside it. Between two messages only the times move on.
 * Nothing is fetched.
 */

import { Arrival } from "./arrival.js";
import { make, makeButton, setAttribute, setText } from "./elements.js";
import { KernelLife } from "./kernel_life.js";
import { KernelLink } from "./kernel_link.js";
import { isForceable, Row } from "./line.js";
import { counted, grouped } from "./words.js";

/** @typedef {import("./line.js").Line} Line */

/**
 * @typedef {object} State
 * @property {boolean} running
 * @property {boolean} paused
 * @property {boolean} over Whether this is the last state: nothing is answered any more.
 * @property {number} at When the counts were read, in seconds since 1970.
 * @property {Line[]} lines
 */

/** @typedef {{ state: State, place: { display: string, cell: string } }} Model */

/** The column of names, in characters, as in static_progress.py. */
const WIDEST_NAMES = 28;

/** What was said stays for so long. */
const SAID_MS = 6000;

/** @param {Line[]} lines */
function sums(lines) {
  const sum = { done: 0, failed: 0, cancelled: 0, released: 0, unknown: 0, total: 0 };
  for (const line of lines) {
    sum.done += line.resolved + line.ready;
    sum.failed += line.failed;
    sum.cancelled += line.cancelled;
    sum.released += line.released;
    sum.unknown += line.unknown;
    sum.total += line.total;
  }
  return sum;
}

/**
 * All lines in a few words, also for a screen reader when nothing is pending.
 *
 * @param {Line[]} lines
 */
function summary(lines) {
  const { done, failed, cancelled, released, unknown, total } = sums(lines);
  return [
    `${grouped(done)} of ${counted(total, "ref")} done`,
    failed && `${grouped(failed)} failed`,
    cancelled && `${grouped(cancelled)} cancelled`,
    released && `${grouped(released)} released`,
    unknown && `${grouped(unknown)} with unknown outcome`,
  ]
    .filter(Boolean)
    .join(", ");
}

/** The widget in one output. */
class Progress {
  /**
   * @param {import("@anywidget/types").AnyModel<Model>} model
   * @param {Arrival | undefined} arrival
   */
  constructor(model, arrival) {
    this.model = model;
    this.frame = 0;
    this.inert = false;
    this.widestName = 0;
    this.widestTotal = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.saidTimer = undefined;
    /** @type {Map<string, Row>} */
    this.known = new Map();

    this.root = make("div", "rja-progress", { role: "group" });
    this.root.setAttribute("aria-label", "Progress of Ray refs");
    this.head = make("div", "rja-header");
    this.life = new KernelLife(this.root, arrival);
    this.sum = make("span", "rja-sum");
    this.lost = make("div", "rja-lost", { role: "status" });
    this.said = make("span", "rja-said", { role: "status" });
    this.pause = makeButton("rja-pause", "Pause", () => this.togglePause());
    this.cancel = makeButton("rja-cancel-all", "Cancel all", () => {
      this.link.ask(this.force ? "force" : "cancel");
    });
    this.head.append(this.sum, this.said, this.pause, this.cancel);
    this.rows = make("div", "rja-rows");
    this.live = make("div", "rja-unseen", { "aria-live": "polite" });
    this.root.append(this.head, this.lost, this.rows, this.live);

    const say = (/** @type {string} */ words) => this.say(words);
    this.link = new KernelLink(model, {
      refs: (message, bytes) =>
        this.known.get(message.refs)?.details?.takeRefs(message, bytes),
      errors: (message) => this.known.get(message.errors)?.details?.takeErrors(message),
      said: say,
    });
    this.makeRow = (/** @type {string} */ name) => new Row(name, this.link, say);
  }

  get state() {
    return this.model.get("state");
  }

  get force() {
    const open = this.state.lines.filter((line) => line.pending);
    return open.length > 0 && open.every(isForceable);
  }

  togglePause() {
    this.link.ask("pause", { on: !this.state.paused });
  }

  /** Shows the state in the next frame, once however often it has changed. */
  changed() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.show();
    });
  }

  show() {
    const { running, paused, lines } = this.state;
    this.root.dataset.running = String(running);
    this.root.dataset.paused = String(paused);
    this.fitColumns(lines);
    for (const line of lines) {
      let row = this.known.get(line.name);
      if (!row) {
        row = this.makeRow(line.name);
        this.known.set(line.name, row);
        this.rows.append(row.root);
      }
      row.show(line);
    }
    const shown = new Set(lines.map((line) => line.name));
    for (const [name, row] of this.known) {
      if (shown.has(name)) continue;
      row.end();
      this.known.delete(name);
    }
    setText(this.sum, summary(lines));
    setText(this.pause, paused ? "Resume" : "Pause");
    setAttribute(
      this.pause,
      "aria-label",
      paused ? "Resume the display" : "Pause the display",
    );
    setText(this.cancel, this.force ? "Force all" : "Cancel all");
    this.cancel.disabled = !running;
    this.pause.disabled = !running && !paused;
    // The end is told, not each step on the way.
    setText(this.live, running ? "" : `Ray: ${summary(lines)}`);
    this.showLife();
    for (const row of this.known.values()) row.setInert(this.inert);
  }

  /** Without a kernel there is no button and no clock: none would be true. */
  showLife() {
    const lost = this.life.lost(this.state);
    const inert = Boolean(lost) || this.state.over;
    setText(this.lost, lost);
    if (inert === this.inert) return;
    this.inert = inert;
    this.root.dataset.inert = String(inert);
    for (const row of this.known.values()) row.setInert(inert);
  }

  /**
   * Columns stay in place while counts grow: their widths follow the longest.
   *
   * @param {Line[]} lines
   */
  fitColumns(lines) {
    for (const { name, total } of lines) {
      this.widestName = Math.max(this.widestName, Math.min(name.length, WIDEST_NAMES));
      this.widestTotal = Math.max(this.widestTotal, grouped(total).length);
    }
    this.root.style.setProperty("--rja-name-width", `${this.widestName}ch`);
    this.root.style.setProperty("--rja-count-width", `${2 * this.widestTotal + 1}ch`);
  }

  /** @param {string} words */
  say(words) {
    clearTimeout(this.saidTimer);
    setText(this.said, words);
    if (words) this.saidTimer = setTimeout(() => this.say(""), SAID_MS);
  }

  tick() {
    // A hidden page needs no clock; the next tick is right again.
    if (document.hidden) return;
    this.showLife();
    if (this.inert) return;
    for (const row of this.known.values()) row.tick(this.state.paused);
  }

  end() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.saidTimer);
    for (const row of this.known.values()) row.end();
    this.link.end();
    this.root.remove();
  }
}

/**
 * By the display's name; there is one for each model.
 *
 * @type {Map<string, Arrival>}
 */
const arrivals = new Map();

/** @type {import("@anywidget/types").Initialize<Model>} */
function initialize({ model }) {
  const { display } = model.get("place");
  const arrival = new Arrival(model);
  arrivals.set(display, arrival);

  return () => {
    arrivals.delete(display);
    arrival.end();
  };
}

/** @type {import("@anywidget/types").Render<Model>} */
function render({ model, el }) {
  const arrival = arrivals.get(model.get("place").display);
  const progress = new Progress(model, arrival);
  const onState = () => {
    progress.life.heard();
    progress.changed();
  };
  const onMessage = (/** @type {any} */ message, /** @type {DataView[]} */ buffers) => {
    progress.life.heard();
    progress.link.receive(message, buffers);
  };
  const onLife = () => progress.showLife();
  el.append(progress.root);
  const clock = setInterval(() => progress.tick(), 100);
  model.on("change:state", onState);
  model.on("msg:custom", onMessage);
  model.on("comm_live_update", onLife);
  progress.show();

  return () => {
    clearInterval(clock);
    model.off("change:state", onState);
    model.off("msg:custom", onMessage);
    model.off("comm_live_update", onLife);
    progress.end();
    arrival?.viewRemoved(progress.link.view);
  };
}

export default { initialize, render };
