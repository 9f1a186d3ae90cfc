/**
 * The progress of one cell: a line for each name, and what can be done about it.
 *
 * Counts and words come from the one trait `state`, which the kernel alone writes; the
 * refs of open lines come beside it. Between two messages only the clocks move on.
 * Nothing is fetched.
 */

import { Arrival } from "./arrival.js";
import { make, makeButton, named, setAttribute, setText } from "./elements.js";
import { KernelLink } from "./kernel.js";
import { Row, showButton } from "./line.js";

/** @typedef {import("./messages.js").Traits} Traits */

/** For so long an answer stands. */
const SAID_MS = 6000;

/** The widget in one output. */
class Progress {
  frame = 0;
  inert = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  saidTimer = undefined;
  /** @type {Map<string, Row>} */
  known = new Map();
  sum = make("span", "rja-sum");
  said = make("span", "rja-said", { role: "status" });
  lost = make("div", "rja-lost", { role: "status" });
  rows = make("div", "rja-rows");
  live = make("div", "rja-unseen", { "aria-live": "polite" });

  /** @param {import("@anywidget/types").AnyModel<Traits>} model @param {Arrival=} arrival */
  constructor(model, arrival) {
    this.model = model;
    this.arrival = arrival;
    this.pause = makeButton("rja-small rja-pause", "", () =>
      this.link.ask("pause", { on: !this.state.paused }),
    );
    this.cancel = makeButton("rja-small rja-end rja-cancel-all", "", () =>
      this.link.ask(this.state.cancel.do || "cancel"),
    );
    const { sum, said, pause, cancel } = this;
    const head = make("div", "rja-header", {}, sum, said, pause, cancel);
    this.root = make("div", "rja-progress", named("group", "Progress of Ray refs"));
    this.root.append(head, this.lost, this.rows, this.live);
    /** @type {import("./messages.js").Handlers} */
    const handlers = {
      refs: (message, bytes) =>
        bytes && this.known.get(message.refs)?.details?.takeRefs(message, bytes),
      errors: ({ errors, groups }) =>
        this.known.get(errors)?.details?.errors.show(groups),
    };
    this.link = new KernelLink(model, handlers, (words) => this.say(words));
  }

  get state() {
    return this.model.get("state");
  }

  /** Shows the state in the next frame, once however often it has changed. */
  changed() {
    this.link.heardAt = performance.now();
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.show();
    });
  }

  show() {
    const { running, paused, summary, spoken, cancel, widths, lines } = this.state;
    this.root.dataset.running = String(running);
    this.root.dataset.paused = String(paused);
    this.root.style.setProperty("--rja-name-width", `${widths[0]}ch`);
    this.root.style.setProperty("--rja-count-width", `${widths[1]}ch`);
    for (const line of lines) {
      let row = this.known.get(line.name);
      if (!row) {
        row = new Row(line, this.link, (words) => this.say(words));
        this.known.set(line.name, row);
        this.rows.append(row.root);
      }
      row.show(line);
    }
    setText(this.sum, summary);
    const verb = paused ? "Resume" : "Pause";
    setText(this.pause, verb);
    setAttribute(this.pause, "aria-label", `${verb} the display`);
    this.pause.disabled = !running && !paused;
    showButton(this.cancel, cancel);
    this.cancel.disabled = !running;
    setText(this.live, spoken);
    this.showLife();
    for (const row of this.known.values()) row.setInert(this.inert);
  }

  /** Without a kernel there is no button and no clock: none would be true. */
  showLife() {
    const lost = this.link.whyLost(this.state, this.root, this.arrival?.kernelEnded);
    const inert = Boolean(lost) || this.state.over;
    setText(this.lost, lost);
    if (inert === this.inert) return;
    this.inert = inert;
    this.root.dataset.inert = String(inert);
    for (const row of this.known.values()) row.setInert(inert);
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

/** Called once for each model. @returns {import("@anywidget/types").AnyWidget<Traits>} */
export default function widget() {
  /** @type {Arrival | undefined} */
  let arrival;
  return {
    initialize({ model }) {
      const made = new Arrival(model);
      arrival = made;
      return () => made.end();
    },
    render({ model, el }) {
      const progress = new Progress(model, arrival);
      /** @type {[string, (...args: any[]) => void][]} */
      const listeners = [
        ["change:state", () => progress.changed()],
        ["msg:custom", (content, buffers) => progress.link.receive(content, buffers)],
        ["comm_live_update", () => progress.showLife()],
      ];
      el.append(progress.root);
      const clock = setInterval(() => progress.tick(), 100);
      for (const [event, listener] of listeners) model.on(event, listener);
      progress.show();
      return () => {
        clearInterval(clock);
        for (const [event, listener] of listeners) model.off(event, listener);
        progress.end();
        arrival?.viewRemoved(progress.link.view);
      };
    },
  };
}
