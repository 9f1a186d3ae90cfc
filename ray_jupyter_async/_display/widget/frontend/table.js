/**
 * The table of a line's refs: as many rows in the page as are seen, however many
 * refs there are.
 */

import { make, makeButton, setAttribute, setText } from "./elements.js";
import { at } from "./ref_columns.js";
import { arrange } from "./ref_order.js";
import { SlicedWork } from "./slices.js";
import {
  CANCELLING,
  counted,
  formatDuration,
  formatSize,
  grouped,
  isUnsettled,
  refState,
} from "./words.js";

/** @typedef {import("./ref_columns.js").RefColumns} RefColumns */
/** @typedef {import("./ref_order.js").SortKey} SortKey */

const ROW_HEIGHT = 24;
const ROWS_BEYOND = 4;

/** Milliseconds between two arrangements while refs change. */
const TABLE_REFRESH_MS = 300;

/** @type {readonly [SortKey, string][]} */
const HEADS = [
  ["index", "Ref"],
  ["state", "State"],
  ["started", "Start"],
  ["duration", "Time"],
  ["node", "Node"],
  ["worker", "Worker"],
  ["attempt", "Try"],
  ["size", "Size"],
  ["error", "Error"],
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
  /** @param {(index: number) => void} cancel */
  constructor(cancel) {
    this.root = make("div", "rja-ref", { role: "row" });
    this.cells = HEADS.map(([key]) =>
      make("span", `rja-cell rja-col-${key}`, { role: "cell" }),
    );
    this.index = -1;
    this.cancel = makeButton("rja-ref-cancel", "Cancel", () => cancel(this.index));
    const last = make("span", "rja-cell rja-col-act", { role: "cell" });
    last.append(this.cancel);
    this.root.append(...this.cells, last);
  }

  /**
   * @param {RefColumns} refs
   * @param {number} slot
   * @param {number} position From 0, as arranged.
   * @param {boolean} force Whether cancelling politely was in vain.
   */
  show(refs, slot, position, force) {
    const { columns } = refs;
    const state = at(columns.state, slot);
    const { name, kind, sign } = refState(state);
    const started = at(columns.started, slot);
    const worker = at(columns.worker, slot);
    this.index = at(columns.index, slot);
    this.root.dataset.index = String(this.index);
    this.root.dataset.kind = kind;
    this.root.style.transform = `translateY(${position * ROW_HEIGHT}px)`;
    setAttribute(this.root, "aria-rowindex", String(position + 2));
    const error = refs.errorOf(slot);
    const texts = [
      grouped(this.index),
      `${sign} ${name}`,
      Number.isNaN(started) ? "" : `${started.toFixed(2)} s`,
      formatDuration(refs.durationOf(slot)),
      refs.nodeOf(slot),
      worker ? String(worker) : "",
      String(at(columns.attempt, slot) + 1),
      formatSize(at(columns.size, slot)),
      error,
    ];
    this.cells.forEach((cell, i) => {
      setText(cell, texts[i] ?? "");
    });
    const last = this.cells.at(-1);
    if (last) last.title = error;
    const forced = force && state === CANCELLING;
    this.cancel.hidden = !isUnsettled(state) || (state === CANCELLING && !forced);
    setText(this.cancel, forced ? "Force" : "Cancel");
    setAttribute(
      this.cancel,
      "aria-label",
      `${forced ? "Force" : "Cancel"} ref ${this.index}`,
    );
  }
}

export class RefTable {
  /**
   * @param {RefColumns} refs
   * @param {string} name The line's.
   * @param {(indices: number[], force: boolean) => void} cancel
   */
  constructor(refs, name, cancel) {
    this.refs = refs;
    this.cancel = cancel;
    this.force = false;
    this.shown = false;
    this.work = new SlicedWork();
    /** The slots in order, as arranged; null where a position is its slot. */
    /** @type {Int32Array | null} */
    this.slots = null;
    /** @type {SortKey} */
    this.sort = "index";
    this.descending = false;
    /** Of the arrangement that is shown. */
    this.version = -1;
    this.arrangedAt = 0;
    /** @type {TableRow[]} */
    this.rows = [];
    this.frame = 0;

    this.root = make("div", "rja-refs");
    this.filters = make("div", "rja-filters");
    this.state = make("select", "rja-input", { "aria-label": "State" });
    for (const [text] of STATE_FILTERS) this.state.add(new Option(text));
    this.text = make("input", "rja-input", {
      type: "search",
      placeholder: "node, worker, error …",
      "aria-label": "Text that a ref, its node, worker or error holds",
    });
    this.found = make("span", "rja-found");
    this.filters.append(this.state, this.text, this.found);
    this.state.addEventListener("change", () => this.arrange());
    this.text.addEventListener("input", () => this.arrange());

    this.scroller = make("div", "rja-scroller", { tabindex: "0", role: "region" });
    this.scroller.setAttribute("aria-label", `Refs of ${name}`);
    this.table = make("div", "rja-table", {
      role: "table",
      "aria-label": `Refs of ${name}`,
    });
    this.head = this.makeHead();
    this.body = make("div", "rja-body", { role: "rowgroup" });
    this.table.append(this.head, this.body);
    this.scroller.append(this.table);
    this.root.append(this.filters, this.scroller);
    this.scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    this.resizes = new ResizeObserver(() => this.draw());
    this.resizes.observe(this.scroller);
    // What was held back while the pointer was in here.
    this.scroller.addEventListener("pointerleave", () => this.refresh());
  }

  makeHead() {
    const head = make("div", "rja-ref rja-head", { role: "row", "aria-rowindex": "1" });
    this.heads = HEADS.map(([key, title]) => {
      const cell = make("span", `rja-cell rja-col-${key}`, { role: "columnheader" });
      cell.append(makeButton("rja-sort", title, () => this.sortBy(key)));
      return { key, cell };
    });
    const last = make("span", "rja-cell rja-col-act", { role: "columnheader" });
    last.append(Object.assign(make("span", "rja-unseen"), { textContent: "Cancel" }));
    head.append(...this.heads.map(({ cell }) => cell), last);
    const group = make("div", "rja-heads", { role: "rowgroup" });
    group.append(head);
    this.markSorted();
    return group;
  }

  /** @param {SortKey} key */
  sortBy(key) {
    this.descending = this.sort === key && !this.descending;
    this.sort = key;
    this.markSorted();
    this.arrange();
  }

  markSorted() {
    for (const { key, cell } of this.heads ?? []) {
      const direction = this.descending ? "descending" : "ascending";
      setAttribute(cell, "aria-sort", key === this.sort ? direction : "none");
    }
  }

  /** @param {boolean} shown */
  setShown(shown) {
    this.shown = shown;
    if (shown) this.arrange();
    else this.work.stop();
  }

  /** Shows what has changed, at most some times a second. */
  refresh() {
    if (!this.shown || this.work.busy) return;
    const due = performance.now() - this.arrangedAt >= TABLE_REFRESH_MS;
    if (due && this.version !== this.refs.version && !this.held()) this.arrange();
    else this.draw();
  }

  /**
   * Whether rows keep their places: nobody's click may hit another ref than the
   * one it was meant for. In the refs' own order nothing moves anyway.
   */
  held() {
    return !this.natural() && this.body.matches(":hover, :focus-within");
  }

  /** Whether all refs are shown in their own order: the usual case. */
  natural() {
    return this.sort === "index" && !this.descending && this.unfiltered();
  }

  unfiltered() {
    return !this.text.value && this.state.selectedIndex <= 0;
  }

  arrange() {
    if (!this.shown) return;
    if (this.natural() && this.refs.inOrder) {
      // Nothing to sort, choose or keep, however many there are.
      this.work.stop();
      this.slots = null;
      this.draw();
      return;
    }
    const { version } = this.refs;
    const states = STATE_FILTERS[this.state.selectedIndex]?.[1] ?? [];
    const { sort, descending } = this;
    const text = this.text.value.trim();
    const done = (/** @type {Int32Array} */ slots) => {
      this.slots = slots;
      this.version = version;
      this.arrangedAt = performance.now();
      this.draw();
    };
    this.work.start(arrange(this.refs, { sort, descending, states, text }, done));
  }

  /** Draws in the next frame, once however often it is asked for. */
  draw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      if (this.shown) this.drawRows();
    });
  }

  drawRows() {
    // Before anything is written: else the browser would lay out at once.
    const { scrollTop, clientHeight } = this.scroller;
    const all = this.refs.length;
    const length = this.slots?.length ?? all;
    setText(
      this.found,
      this.unfiltered()
        ? counted(all, "ref")
        : `${grouped(length)} of ${counted(all, "ref")}`,
    );
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
      const slot = this.slots ? at(this.slots, position) : position;
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
