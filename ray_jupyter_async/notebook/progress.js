/**
 * The progress lines of one cell.
 *
 * What is shown comes from the one trait `state`, written by the kernel alone.
 * Between two messages only the elapsed time moves on. Nothing is sent back, and
 * nothing is fetched.
 */

/**
 * @typedef {object} Line The refs of one name.
 * @property {string} name
 * @property {number} total
 * @property {number} resolved
 * @property {number} ready
 * @property {number} failed
 * @property {number} cancelled
 * @property {number} pending
 * @property {number} elapsed_s Seconds from the first await to the last change, or to now.
 * @property {string} errors Error classes, in words.
 */

/**
 * @typedef {object} State
 * @property {boolean} running
 * @property {Line[]} lines
 */

/** @typedef {{ state: State }} Model */

/** The column of names, in characters, as in static_progress.py. */
const WIDEST_NAMES = 28;

/**
 * @param {string} className
 * @param {keyof HTMLElementTagNameMap} [tag]
 * @returns {HTMLElement}
 */
function element(className, tag = "span") {
  const made = document.createElement(tag);
  made.className = className;
  return made;
}

/**
 * Writes a text only where it differs, so that an unchanged one is neither laid
 * out nor read out again.
 *
 * @param {HTMLElement} target
 * @param {string} text
 */
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * @param {HTMLElement} segment
 * @param {number} count
 * @param {number} total
 */
function fill(segment, count, total) {
  segment.hidden = !count;
  segment.style.width = `${total ? (100 * count) / total : 0}%`;
}

/** @param {number} count */
function grouped(count) {
  return count.toLocaleString("en-US");
}

/**
 * The twin of `format_elapsed` in static_progress.py.
 *
 * @param {number} seconds
 */
function formatElapsed(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** @param {Line} line */
function markOf(line) {
  if (line.pending) return line.failed ? "failing" : "running";
  if (line.failed) return "failed";
  return line.cancelled ? "cancelled" : "done";
}

const MARKS = { running: "", failing: "✕", failed: "✕", cancelled: "⊘", done: "✓" };

/** One line: its nodes are made once and changed in place. */
class Row {
  constructor() {
    this.root = element("rja-row", "div");
    this.mark = element("rja-mark");
    this.mark.setAttribute("aria-hidden", "true");
    this.name = element("rja-name");
    this.bar = element("rja-bar");
    this.bar.setAttribute("role", "progressbar");
    this.bar.setAttribute("aria-valuemin", "0");
    this.segments = {
      done: element("rja-segment rja-done"),
      failed: element("rja-segment rja-failed"),
      cancelled: element("rja-segment rja-cancelled"),
    };
    // From the left in this order.
    this.bar.append(...Object.values(this.segments));
    this.count = element("rja-count");
    this.time = element("rja-time");
    this.notes = element("rja-notes");
    this.pending = element("rja-note rja-note-pending");
    this.failed = element("rja-note rja-note-failed");
    this.cancelled = element("rja-note rja-note-cancelled");
    this.notes.append(this.pending, this.failed, this.cancelled);
    this.root.append(this.mark, this.name, this.bar, this.count, this.time, this.notes);
    this.elapsed = 0;
    this.since = 0;
    this.ticking = false;
  }

  /** @param {Line} line */
  show(line) {
    const done = line.resolved + line.ready;
    const { dataset } = this.root;
    dataset.name = line.name;
    dataset.total = String(line.total);
    dataset.resolved = String(line.resolved);
    dataset.ready = String(line.ready);
    dataset.failed = String(line.failed);
    dataset.cancelled = String(line.cancelled);
    dataset.pending = String(line.pending);

    const mark = markOf(line);
    dataset.mark = mark;
    setText(this.mark, MARKS[mark]);
    setText(this.name, line.name);
    this.name.title = line.name;

    fill(this.segments.done, done, line.total);
    fill(this.segments.failed, line.failed, line.total);
    fill(this.segments.cancelled, line.cancelled, line.total);

    const doneOfTotal = `${grouped(done)}/${grouped(line.total)}`;
    setText(this.count, doneOfTotal);
    setText(this.pending, line.pending ? `${grouped(line.pending)} pending` : "");
    const failed = line.failed ? `${grouped(line.failed)} failed` : "";
    setText(this.failed, failed && `${failed} (${line.errors})`);
    const cancelled = line.cancelled ? `${grouped(line.cancelled)} cancelled` : "";
    setText(this.cancelled, cancelled);

    const settled = line.total - line.pending;
    const said = [`${grouped(done)} of ${grouped(line.total)} done`, failed, cancelled];
    this.bar.setAttribute("aria-label", line.name);
    this.bar.setAttribute("aria-valuemax", String(line.total));
    this.bar.setAttribute("aria-valuenow", String(settled));
    this.bar.setAttribute("aria-valuetext", said.filter(Boolean).join(", "));

    this.elapsed = line.elapsed_s;
    this.since = performance.now();
    this.ticking = line.pending > 0;
    this.tick();
  }

  tick() {
    const more = this.ticking ? (performance.now() - this.since) / 1000 : 0;
    setText(this.time, formatElapsed(this.elapsed + more));
  }
}

/**
 * What a screen reader is told, once, when nothing is pending any more.
 *
 * @param {Line[]} lines
 */
function announcement(lines) {
  /** @param {(line: Line) => number} count */
  const sum = (count) => lines.reduce((total, line) => total + count(line), 0);
  const failed = sum((line) => line.failed);
  const cancelled = sum((line) => line.cancelled);
  return [
    `Ray: ${grouped(sum((line) => line.resolved + line.ready))} of ` +
      `${grouped(sum((line) => line.total))} refs done`,
    failed && `${grouped(failed)} failed`,
    cancelled && `${grouped(cancelled)} cancelled`,
  ]
    .filter(Boolean)
    .join(", ");
}

/** @type {import("@anywidget/types").Render<Model>} */
function render({ model, el }) {
  const root = element("rja-progress", "div");
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Progress of Ray refs");
  const rows = element("rja-rows", "div");
  const live = element("rja-live", "div");
  live.setAttribute("aria-live", "polite");
  root.append(rows, live);
  el.append(root);

  /** @type {Map<string, Row>} */
  const known = new Map();

  function show() {
    const { running, lines } = model.get("state");
    root.dataset.running = String(running);
    // Columns stay in place while counts grow: their widths follow the longest.
    const names = Math.max(0, ...lines.map((line) => line.name.length));
    const totals = Math.max(0, ...lines.map((line) => grouped(line.total).length));
    root.style.setProperty("--rja-name-width", `${Math.min(names, WIDEST_NAMES)}ch`);
    root.style.setProperty("--rja-count-width", `${2 * totals + 1}ch`);
    for (const line of lines) {
      let row = known.get(line.name);
      if (!row) {
        row = new Row();
        known.set(line.name, row);
        rows.append(row.root);
      }
      row.show(line);
    }
    const shown = new Set(lines.map((line) => line.name));
    for (const [name, row] of known) {
      if (shown.has(name)) continue;
      row.root.remove();
      known.delete(name);
    }
    setText(live, running ? "" : announcement(lines));
  }

  const clock = setInterval(() => {
    // A hidden page needs no clock; the next tick is right again.
    if (!document.hidden) for (const row of known.values()) row.tick();
  }, 100);
  model.on("change:state", show);
  show();

  return () => {
    clearInterval(clock);
    model.off("change:state", show);
    root.remove();
  };
}

export default { render };
