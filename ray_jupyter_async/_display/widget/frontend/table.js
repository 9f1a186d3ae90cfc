/**
 * The table of a line's refs: as many rows in the page as are seen, however many refs
 * there are.
 */

import { make, makeButton, named, setAttribute, setText } from "./elements.js";
import { at } from "./ref_columns.js";
import { arrange } from "./ref_order.js";
import { SlicedWork } from "./slices.js";
import {
  CANCELLING,
  counted,
  formatDuration,
  formatMoment,
  formatSize,
  grouped,
  RUNNING,
  refState,
} from "./words.js";

/** @typedef {import("./ref_columns.js").RefColumns} RefColumns */
/** @typedef {import("./ref_order.js").SortKey} SortKey */
/** @typedef {(indices: number[], force: boolean) => void} Cancel */

const ROW_HEIGHT = 24;
const ROWS_BEYOND = 4;

/** Milliseconds between two arrangements while refs change. */
const TABLE_REFRESH_MS = 300;

/** @type {readonly [SortKey, string, (refs: RefColumns, slot: number) => string][]} */
const COLUMNS = [
  ["index", "Ref", ({ columns }, slot) => grouped(at(columns.index, slot))],
  ["state", "State", ({ columns }, slot) => refState(at(columns.state, slot)).text],
  ["started", "Start", ({ columns }, slot) => formatMoment(at(columns.started, slot))],
  ["duration", "Time", (refs, slot) => formatDuration(refs.durationOf(slot))],
  ["node", "Node", (refs, slot) => refs.nodeOf(slot)],
  ["worker", "Worker", ({ columns }, slot) => String(at(columns.worker, slot) || "")],
  ["attempt", "Try", ({ columns }, slot) => String(at(columns.attempt, slot) + 1)],
  ["size", "Size", ({ columns }, slot) => formatSize(at(columns.size, slot))],
  ["error", "Error", (refs, slot) => refs.errorOf(slot)],
];

/** @type {readonly [string, readonly number[]][]} */
const STATE_FILTERS = [
  ["all states", []],
  ["pending", [0, 1]],
  ["running", [2]],
  ["resolved", [3, 4]],
  ["failed", [5]],
  ["cancelling", [6]],
  ["cancelled", [7]],
  ["released", [8]],
  ["unknown", [9]],
];

/** One row of the page; which ref it shows changes as the table is scrolled. */
class TableRow {
  index = -1;
  cells = COLUMNS.map(([key]) =>
    make("span", `rja-cell rja-col-${key}`, { role: "cell" }),
  );

  /** @param {(index: number) => void} cancel */
  constructor(cancel) {
    this.cancel = makeButton("rja-small rja-end rja-ref-cancel", "", () =>
      cancel(this.index),
    );
    const last = make("span", "rja-cell", { role: "cell" }, this.cancel);
    this.root = make("div", "rja-ref", { role: "row" }, ...this.cells, last);
  }

  // By force where cancelling politely was in vain; the position is as arranged.
  /** @type {(refs: RefColumns, slot: number, position: number, force: boolean) => void} */
  show(refs, slot, position, force) {
    const state = at(refs.columns.state, slot);
    this.index = at(refs.columns.index, slot);
    this.root.dataset.index = String(this.index);
    this.root.dataset.kind = refState(state).kind;
    this.root.style.transform = `translateY(${position * ROW_HEIGHT}px)`;
    setAttribute(this.root, "aria-rowindex", String(position + 2));
    this.cells.forEach((cell, i) => {
      setText(cell, COLUMNS[i]?.[2](refs, slot) ?? "");
    });
    const error = this.cells.at(-1);
    if (error) error.title = refs.errorOf(slot);
    const cancelling = state === CANCELLING;
    const verb = cancelling ? "Force" : "Cancel";
    this.cancel.hidden = cancelling ? !force : state > RUNNING;
    setText(this.cancel, verb);
    setAttribute(this.cancel, "aria-label", `${verb} ref ${this.index}`);
  }
}

export class RefTable {
  force = false;
  /** As arranged. @type {Int32Array} */
  slots = new Int32Array(0);
  /** @type {SortKey} */
  sort = "index";
  descending = false;
  /** @type {TableRow[]} */
  rows = [];
  frame = 0;
  state = make("select", "rja-input", { "aria-label": "State" });
  text = make("input", "rja-input", {
    type: "search",
    placeholder: "node, worker, error …",
    "aria-label": "Text that a ref, its node, worker or error holds",
  });
  found = make("span", "rja-found");
  body = make("div", "rja-body", { role: "rowgroup" });

  /** @param {RefColumns} refs @param {string} name @param {Cancel} cancel */
  constructor(refs, name, cancel) {
    this.refs = refs;
    this.cancel = cancel;
    this.work = new SlicedWork(refs, TABLE_REFRESH_MS);
    for (const [text] of STATE_FILTERS) this.state.add(new Option(text));
    this.state.addEventListener("change", () => this.arrange());
    this.text.addEventListener("input", () => this.arrange());
    this.heads = COLUMNS.map(([key, title]) => {
      const sort = makeButton("rja-sort", title, () => this.sortBy(key));
      const label = { role: "columnheader" };
      return { key, cell: make("span", `rja-cell rja-col-${key}`, label, sort) };
    });
    this.markSorted();
    const heads = make("div", "rja-heads", { role: "rowgroup" }, this.makeHead());
    const label = `Refs of ${name}`;
    this.table = make("div", "rja-table", named("table", label), heads, this.body);
    const region = named("region", label, { tabindex: "0" });
    this.scroller = make("div", "rja-scroller", region, this.table);
    const filters = make("div", "rja-filters", {}, this.state, this.text, this.found);
    this.root = make("div", "rja-refs", {}, filters, this.scroller);
    this.scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    this.resizes = new ResizeObserver(() => this.draw());
    this.resizes.observe(this.scroller);
    // What was held back while the pointer was in here.
    this.scroller.addEventListener("pointerleave", () => this.refresh());
  }

  makeHead() {
    const unseen = make("span", "rja-unseen", {}, "Cancel");
    const last = make("span", "rja-cell", { role: "columnheader" }, unseen);
    const cells = this.heads.map(({ cell }) => cell);
    const row = { role: "row", "aria-rowindex": "1" };
    return make("div", "rja-ref rja-head", row, ...cells, last);
  }

  /** @param {SortKey} key */
  sortBy(key) {
    this.descending = this.sort === key && !this.descending;
    this.sort = key;
    this.markSorted();
    this.arrange();
  }

  markSorted() {
    const direction = this.descending ? "descending" : "ascending";
    for (const { key, cell } of this.heads) {
      setAttribute(cell, "aria-sort", key === this.sort ? direction : "none");
    }
  }

  /** @param {boolean} shown */
  setShown(shown) {
    this.work.setShown(shown);
    this.arrange();
  }

  refresh() {
    if (this.work.isDue() && !this.held()) this.arrange();
    else if (!this.work.busy) this.draw();
  }

  // A click must not hit another ref than the one it was meant for. In the refs' own
  // order nothing moves anyway.
  /** Whether rows keep their places. */
  held() {
    const natural = this.sort === "index" && !this.descending && this.unfiltered();
    return !natural && this.body.matches(":hover, :focus-within");
  }

  unfiltered() {
    return !this.text.value && this.state.selectedIndex <= 0;
  }

  arrange() {
    if (!this.work.shown) return;
    const states = STATE_FILTERS[this.state.selectedIndex]?.[1] ?? [];
    const { sort, descending } = this;
    const text = this.text.value.trim();
    const done = (/** @type {Int32Array} */ slots) => {
      this.slots = slots;
      this.draw();
    };
    this.work.start(arrange(this.refs, { sort, descending, states, text }, done));
  }

  /** Draws in the next frame, once however often it is asked for. */
  draw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      if (this.work.shown) this.drawRows();
    });
  }

  drawRows() {
    // Before anything is written: else the browser would lay out at once.
    const { scrollTop, clientHeight } = this.scroller;
    const all = this.refs.length;
    const { length } = this.slots;
    const of = this.unfiltered() ? "" : `${grouped(length)} of `;
    setText(this.found, of + counted(all, "ref"));
    setAttribute(this.table, "aria-rowcount", String(length + 1));
    this.body.style.height = `${length * ROW_HEIGHT}px`;
    const first = Math.max(0, Math.floor(scrollTop / ROW_HEIGHT) - ROWS_BEYOND);
    const seen = Math.ceil(clientHeight / ROW_HEIGHT) + 2 * ROWS_BEYOND;
    const count = Math.max(0, Math.min(seen, length - first));
    while (this.rows.length < count) {
      const row = new TableRow((index) => this.cancel([index], this.force));
      this.rows.push(row);
      this.body.append(row.root);
    }
    const spare = new Set(this.rows);
    for (let position = first; position < first + count; position += 1) {
      // A ref keeps its row while both are in sight, and with it the focus.
      const row = this.rows[position % this.rows.length];
      const slot = at(this.slots, position);
      // After a new start there are fewer than were arranged.
      if (!row || slot >= all) continue;
      row.root.hidden = false;
      row.show(this.refs, slot, position, this.force);
      spare.delete(row);
    }
    for (const row of spare) row.root.hidden = true;
  }

  end() {
    this.work.stop();
    cancelAnimationFrame(this.frame);
    this.resizes.disconnect();
  }
}
