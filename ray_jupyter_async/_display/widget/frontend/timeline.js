/**
 * The timeline of a line: what ran when, on which node, in which worker.
 */

import { make, setAttribute, setText } from "./elements.js";
import { Lanes, layOut } from "./lanes.js";
import { at } from "./ref_columns.js";
import { SlicedWork } from "./slices.js";
import { counted, formatDuration, refState } from "./words.js";

/** @typedef {import("./ref_columns.js").RefColumns} RefColumns */
/** @typedef {import("./lanes.js").Picture} Picture */
/** @typedef {import("./words.js").Kind} Kind */

/** Lanes fill the height there is, within these bounds. */
const LOWEST_LANE = 16;
const HIGHEST_LANE = 26;
const AXIS_HEIGHT = 20;
const TIMELINE_REFRESH_MS = 250;

/** Thirds of a lane that are filled: states differ without colour, too. */
/** @type {Record<Kind, readonly number[]>} */
const THIRDS = {
  pending: [0, 0, 1],
  running: [1, 1, 1],
  resolved: [1, 1, 1],
  failed: [1, 0, 1],
  cancelled: [0, 1, 0],
};

/** @type {readonly Kind[]} */
const LEGEND = ["running", "resolved", "failed", "cancelled"];

export class Timeline {
  /**
   * @param {RefColumns} refs
   * @param {string} name The line's.
   */
  constructor(refs, name) {
    this.refs = refs;
    this.name = name;
    this.lanes = new Lanes();
    this.work = new SlicedWork();
    this.shown = false;
    this.laidOutAt = 0;
    this.version = -1;
    /** @type {Picture | null} */
    this.picture = null;
    this.laneHeight = LOWEST_LANE;
    /** The task pointed at: its slot, or -1. */
    this.pointed = -1;
    /** Where the keyboard is: lane and pixel. */
    this.cursor = { row: 0, x: 0 };

    this.root = make("div", "rja-timeline");
    this.scroller = make("div", "rja-lanes");
    this.canvas = make("canvas", "rja-canvas", { tabindex: "0", role: "img" });
    this.scroller.append(this.canvas);
    this.readout = make("div", "rja-readout", { "aria-live": "polite" });
    this.legend = make("div", "rja-legend");
    this.swatches = LEGEND.map((kind) => {
      const swatch = make("i", `rja-swatch rja-fill-${kind}`, {
        "aria-hidden": "true",
      });
      const item = make("span", "rja-legend-item");
      item.append(swatch, kind);
      this.legend.append(item);
      return { kind, swatch };
    });
    const foot = make("div", "rja-foot");
    foot.append(this.readout, this.legend);
    this.root.append(this.scroller, foot);
    this.image = document.createElement("canvas");

    this.canvas.addEventListener("pointermove", (event) => this.pointAt(event));
    this.canvas.addEventListener("pointerleave", () => this.tell(-1));
    this.canvas.addEventListener("keydown", (event) => this.move(event));
    this.canvas.addEventListener("blur", () => this.tell(-1));
    this.resizes = new ResizeObserver(() => this.layOut());
    this.resizes.observe(this.scroller);
  }

  /** @param {boolean} shown */
  setShown(shown) {
    this.shown = shown;
    if (shown) this.layOut();
    else this.work.stop();
  }

  /** Shows what has changed, at most some times a second. */
  refresh() {
    if (!this.shown || this.work.busy) return;
    if (performance.now() - this.laidOutAt < TIMELINE_REFRESH_MS) return;
    if (this.version !== this.refs.version || this.running) this.layOut();
  }

  get labelWidth() {
    return this.scroller.clientWidth < 420 ? 64 : 150;
  }

  layOut() {
    const width = this.scroller.clientWidth - this.labelWidth - 1;
    if (!this.shown || width < 20) return;
    const { version } = this.refs;
    const pixels = Math.round(width * devicePixelRatio);
    const done = (/** @type {Picture} */ picture) => {
      this.picture = picture;
      this.version = version;
      this.laidOutAt = performance.now();
      this.paint(picture);
      this.draw(picture);
    };
    this.work.start(layOut(this.refs, this.lanes, pixels, done));
  }

  /**
   * Gives the colours of the legend's swatches, which follow the theme, as pixels.
   *
   * @returns {Map<Kind, number>}
   */
  colours() {
    const probe = document.createElement("canvas");
    probe.width = probe.height = 1;
    const context = probe.getContext("2d", { willReadFrequently: true });
    const found = new Map();
    for (const { kind, swatch } of this.swatches) {
      if (!context) continue;
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = getComputedStyle(swatch).color;
      context.fillRect(0, 0, 1, 1);
      found.set(
        kind,
        new Uint32Array(context.getImageData(0, 0, 1, 1).data.buffer)[0] ?? 0,
      );
    }
    return found;
  }

  /**
   * Paints the picture at three pixels a lane; the browser makes it as high as the
   * lanes are.
   *
   * @param {Picture} picture
   */
  paint({ width, lanes, slots }) {
    const { image } = this;
    image.width = width;
    image.height = Math.max(1, 3 * lanes.length);
    const context = image.getContext("2d");
    if (!context || !lanes.length) return;
    const pixels = context.createImageData(width, image.height);
    const words = new Uint32Array(pixels.data.buffer);
    const colours = this.colours();
    const { state } = this.refs.columns;
    this.running = false;
    for (let row = 0; row < lanes.length; row += 1) {
      let before = -1;
      for (let x = 0; x < width; x += 1) {
        const slot = at(slots, row * width + x);
        // A gap where one task follows another, if there is room for it.
        const next = x + 1 < width ? at(slots, row * width + x + 1) : -1;
        const edge = slot !== before && before >= 0 && next === slot;
        before = slot;
        if (slot < 0 || edge) continue;
        const { kind } = refState(at(state, slot));
        this.running ||= kind === "running";
        const colour = colours.get(kind) ?? colours.get("running") ?? 0;
        const thirds = THIRDS[kind];
        for (let third = 0; third < 3; third += 1) {
          if (thirds[third]) words[(3 * row + third) * width + x] = colour;
        }
      }
    }
    context.putImageData(pixels, 0, 0);
  }

  /** @param {Picture} picture */
  draw({ lanes, from, span, width: pixels }) {
    const width = pixels / devicePixelRatio;
    const { canvas, labelWidth } = this;
    const room = (this.scroller.clientHeight - AXIS_HEIGHT) / Math.max(1, lanes.length);
    const laneHeight = Math.floor(Math.min(HIGHEST_LANE, Math.max(LOWEST_LANE, room)));
    this.laneHeight = laneHeight;
    const height = Math.max(1, lanes.length) * laneHeight + AXIS_HEIGHT;
    const ratio = devicePixelRatio;
    canvas.width = Math.round((labelWidth + width) * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
    canvas.style.width = `${labelWidth + width}px`;
    const context = canvas.getContext("2d");
    if (!context) return;
    context.scale(ratio, ratio);
    context.imageSmoothingEnabled = false;
    const style = getComputedStyle(this.readout);
    context.font = `11px ${style.fontFamily}`;
    context.fillStyle = style.color;
    context.strokeStyle = style.color;
    context.textBaseline = "middle";
    this.drawAxis(context, { from, span, width, bottom: height - AXIS_HEIGHT });
    let node = "";
    lanes.forEach((lane, row) => {
      const middle = row * laneHeight + laneHeight / 2;
      const worker = lane.worker ? String(lane.worker) : "unknown";
      // The node stands once, above its workers' lanes.
      if (labelWidth > 100 && lane.node !== node) {
        context.fillText(lane.node, 0, middle, labelWidth - 60);
      }
      node = lane.node;
      context.textAlign = "right";
      context.fillText(worker, labelWidth - 8, middle, 50);
      context.textAlign = "left";
      context.drawImage(
        this.image,
        ...[0, 3 * row, this.image.width, 3],
        ...[labelWidth, row * laneHeight + 2, width, laneHeight - 4],
      );
    });
    this.drawPointed(context, { from, span, width });
    const words = lanes.length
      ? `Timeline of ${this.name}: ${counted(lanes.length, "worker")}, ${formatDuration(span)}`
      : `Timeline of ${this.name}: no task is known to have started yet`;
    setAttribute(canvas, "aria-label", words);
    if (this.pointed < 0) setText(this.readout, lanes.length ? this.hint() : words);
  }

  /**
   * Draws a frame around the task that is told of.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {{ from: number, span: number, width: number }} axis
   */
  drawPointed(context, { from, span, width }) {
    const slot = this.pointed;
    if (slot < 0 || slot >= this.refs.length) return;
    const { started, worker } = this.refs.columns;
    const { row } = this.lanes.of(this.refs.nodeOf(slot), at(worker, slot));
    const left = ((at(started, slot) - from) / span) * width;
    const wide = Math.max(3, ((this.refs.durationOf(slot) || 0) / span) * width);
    context.lineWidth = 2;
    context.strokeRect(
      this.labelWidth + left,
      row * this.laneHeight + 1,
      Math.min(wide, width - left),
      this.laneHeight - 2,
    );
  }

  hint() {
    return "Point at a task, or use the arrow keys";
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {{ from: number, span: number, width: number, bottom: number }} axis
   */
  drawAxis(context, { from, span, width, bottom }) {
    const wanted = Math.max(1, Math.floor(width / 90));
    const raw = span / wanted;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = ([1, 2, 5, 10].find((nice) => nice * power >= raw) ?? 10) * power;
    const decimals = Math.max(0, -Math.floor(Math.log10(step)));
    for (let tick = Math.ceil(from / step) * step; tick < from + span; tick += step) {
      const x = this.labelWidth + ((tick - from) / span) * width;
      context.globalAlpha = 0.25;
      context.fillRect(Math.round(x), 0, 1, bottom + 3);
      context.globalAlpha = 1;
      const text = `${tick.toFixed(decimals)} s`;
      const room = this.labelWidth + width - context.measureText(text).width;
      context.fillText(text, Math.min(x, room), bottom + AXIS_HEIGHT / 2 + 2);
    }
  }

  /** @param {PointerEvent} event */
  pointAt(event) {
    const { picture } = this;
    if (!picture) return;
    const row = Math.floor(event.offsetY / this.laneHeight);
    const x = Math.floor((event.offsetX - this.labelWidth) * devicePixelRatio);
    const inside = x >= 0 && x < picture.width && row < picture.lanes.length;
    this.cursor = { row, x };
    this.tell(inside ? at(picture.slots, row * picture.width + x) : -1);
  }

  /** @param {KeyboardEvent} event */
  move(event) {
    const { picture, cursor } = this;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const down = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!picture?.lanes.length || (!step && !down)) return;
    event.preventDefault();
    const rows = picture.lanes.length - 1;
    cursor.row = Math.min(rows, Math.max(0, cursor.row + (down ?? 0)));
    const first = cursor.row * picture.width;
    const here = at(picture.slots, first + cursor.x);
    let { x } = cursor;
    const sought = step ?? (here >= 0 ? 0 : 1);
    // To the next task of the lane in that direction.
    while (sought) {
      x += sought;
      if (x < 0 || x >= picture.width) break;
      const slot = at(picture.slots, first + x);
      if (slot >= 0 && slot !== here) {
        cursor.x = x;
        break;
      }
    }
    this.tell(at(picture.slots, first + cursor.x));
  }

  /** @param {number} slot */
  tell(slot) {
    if (slot !== this.pointed) {
      this.pointed = slot;
      if (this.picture) this.draw(this.picture);
    }
    if (slot < 0 || slot >= this.refs.length) {
      setText(this.readout, this.hint());
      return;
    }
    const { columns } = this.refs;
    const { sign, name } = refState(at(columns.state, slot));
    const attempt = at(columns.attempt, slot);
    const words = [
      `ref ${at(columns.index, slot)}`,
      `${sign} ${name}`,
      `from ${at(columns.started, slot).toFixed(2)} s`,
      formatDuration(this.refs.durationOf(slot)),
      this.refs.nodeOf(slot) && `on ${this.refs.nodeOf(slot)}`,
      `worker ${at(columns.worker, slot)}`,
      attempt && `try ${attempt + 1}`,
      this.refs.errorOf(slot),
    ];
    setText(this.readout, words.filter(Boolean).join(" · "));
  }

  end() {
    this.work.stop();
    this.resizes.disconnect();
  }
}
