/** The timeline of a line: what ran when, on which node, in which worker. */

import { make, setAttribute, setText } from "./elements.js";
import { laneOf, layOut } from "./lanes.js";
import { at } from "./ref_columns.js";
import { SlicedWork } from "./slices.js";
import { counted, formatDuration, formatMoment, refState } from "./words.js";

/** @typedef {import("./ref_columns.js").RefColumns} RefColumns */
/** @typedef {import("./lanes.js").Picture} Picture */
/** @typedef {import("./words.js").Kind} Kind */

/** Lanes fill the height there is, within these bounds. */
const LOWEST_LANE = 16;
const HIGHEST_LANE = 26;
const AXIS_HEIGHT = 20;
const TIMELINE_REFRESH_MS = 250;
const HINT = "Point at a task, or use the arrow keys";

// Thirds of a lane that are filled: states differ without colour, too.
/** @type {Record<Kind, readonly number[]>} */
const THIRDS = {
  pending: [2],
  running: [0, 1, 2],
  resolved: [0, 1, 2],
  failed: [0, 2],
  cancelled: [1],
};

/** @type {readonly Kind[]} */
const LEGEND = ["running", "resolved", "failed", "cancelled"];

export class Timeline {
  image = document.createElement("canvas");
  running = false;
  /** @type {Picture | null} */
  picture = null;
  laneHeight = LOWEST_LANE;
  /** The task pointed at: its slot, or -1. */
  pointed = -1;
  /** Where the keyboard is: lane and pixel. */
  cursor = { row: 0, x: 0 };

  /** @param {RefColumns} refs @param {string} name The line's. */
  constructor(refs, name) {
    this.refs = refs;
    this.name = name;
    this.work = new SlicedWork(refs, TIMELINE_REFRESH_MS);
    this.canvas = make("canvas", "rja-canvas", { tabindex: "0", role: "img" });
    this.scroller = make("div", "rja-lanes", {}, this.canvas);
    this.readout = make("div", "rja-readout", { "aria-live": "polite" });
    this.swatches = LEGEND.map((kind) =>
      make("i", `rja-swatch rja-fill-${kind}`, { "aria-hidden": "true" }),
    );
    const items = this.swatches.map((swatch, i) =>
      make("span", "", {}, swatch, LEGEND[i] ?? ""),
    );
    const legend = make("div", "rja-legend", {}, ...items);
    const foot = make("div", "rja-foot", {}, this.readout, legend);
    this.root = make("div", "rja-timeline", {}, this.scroller, foot);

    this.canvas.addEventListener("pointermove", (event) => this.pointAt(event));
    this.canvas.addEventListener("pointerleave", () => this.point(-1));
    this.canvas.addEventListener("keydown", (event) => this.move(event));
    this.canvas.addEventListener("blur", () => this.point(-1));
    this.resizes = new ResizeObserver(() => this.layOut());
    this.resizes.observe(this.scroller);
  }

  /** @param {boolean} shown */
  setShown(shown) {
    this.work.setShown(shown);
    this.layOut();
  }

  refresh() {
    if (this.work.isDue(this.running)) this.layOut();
  }

  get labelWidth() {
    return this.scroller.clientWidth < 420 ? 64 : 150;
  }

  layOut() {
    const width = this.scroller.clientWidth - this.labelWidth - 1;
    if (!this.work.shown || width < 20) return;
    const done = (/** @type {Picture} */ picture) => {
      this.picture = picture;
      this.paint(picture);
      this.draw(picture);
    };
    const pixels = Math.round(width * devicePixelRatio);
    this.work.start(layOut(this.refs, pixels, done));
  }

  /** The colours of the legend, which follow the theme, as pixels. */
  colours() {
    const probe = document.createElement("canvas");
    probe.width = LEGEND.length;
    probe.height = 1;
    const context = probe.getContext("2d", { willReadFrequently: true });
    if (!context) return new Uint32Array(LEGEND.length);
    this.swatches.forEach((swatch, i) => {
      context.fillStyle = getComputedStyle(swatch).color;
      context.fillRect(i, 0, 1, 1);
    });
    return new Uint32Array(context.getImageData(0, 0, LEGEND.length, 1).data.buffer);
  }

  // At three pixels a lane: the browser makes it as high as the lanes are.
  /** @param {Picture} picture */
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
      const lane = slots.subarray(row * width, (row + 1) * width);
      lane.forEach((slot, x) => {
        // A gap where one task follows another, if there is room for it.
        const before = lane[x - 1] ?? -1;
        const edge = slot !== before && before >= 0 && lane[x + 1] === slot;
        if (slot < 0 || edge) return;
        const { kind } = refState(at(state, slot));
        this.running ||= kind === "running";
        const colour = at(colours, Math.max(0, LEGEND.indexOf(kind)));
        for (const third of THIRDS[kind]) words[(3 * row + third) * width + x] = colour;
      });
    }
    context.putImageData(pixels, 0, 0);
  }

  /** @param {Picture} picture */
  draw(picture) {
    const { lanes, span, width: pixels } = picture;
    const { canvas, labelWidth } = this;
    const ratio = devicePixelRatio;
    const width = pixels / ratio;
    const room = (this.scroller.clientHeight - AXIS_HEIGHT) / Math.max(1, lanes.length);
    const laneHeight = Math.floor(Math.min(HIGHEST_LANE, Math.max(LOWEST_LANE, room)));
    this.laneHeight = laneHeight;
    const height = Math.max(1, lanes.length) * laneHeight + AXIS_HEIGHT;
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
    this.drawAxis(context, picture, width, height - AXIS_HEIGHT);
    lanes.forEach(({ node, worker }, row) => {
      const middle = row * laneHeight + laneHeight / 2;
      // The node stands once, above its workers' lanes.
      if (labelWidth > 100 && node !== lanes[row - 1]?.node) {
        context.fillText(node, 0, middle, labelWidth - 60);
      }
      context.textAlign = "right";
      context.fillText(worker ? String(worker) : "unknown", labelWidth - 8, middle, 50);
      context.textAlign = "left";
      context.drawImage(
        this.image,
        ...[0, 3 * row, this.image.width, 3],
        ...[labelWidth, row * laneHeight + 2, width, laneHeight - 4],
      );
    });
    this.drawPointed(context, picture, width);
    const words = lanes.length
      ? `${counted(lanes.length, "worker")}, ${formatDuration(span)}`
      : "no task is known to have started yet";
    setAttribute(canvas, "aria-label", `Timeline of ${this.name}: ${words}`);
    if (this.pointed < 0) setText(this.readout, lanes.length ? HINT : words);
  }

  // A frame around the task that the readout describes.
  /** @type {(context: CanvasRenderingContext2D, picture: Picture, width: number) => void} */
  drawPointed(context, { from, span }, width) {
    const slot = this.pointed;
    if (slot < 0 || slot >= this.refs.length) return;
    const { row } = laneOf(this.refs, slot);
    const left = ((at(this.refs.columns.started, slot) - from) / span) * width;
    const wide = Math.max(3, ((this.refs.durationOf(slot) || 0) / span) * width);
    context.lineWidth = 2;
    context.strokeRect(
      this.labelWidth + left,
      row * this.laneHeight + 1,
      Math.min(wide, width - left),
      this.laneHeight - 2,
    );
  }

  /** @type {(context: CanvasRenderingContext2D, picture: Picture, width: number, bottom: number) => void} */
  drawAxis(context, { from, span }, width, bottom) {
    const raw = span / Math.max(1, Math.floor(width / 90));
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
    this.point(inside ? at(picture.slots, row * picture.width + x) : -1);
  }

  // To the next lane, or to the next task of the lane.
  /** @param {KeyboardEvent} event */
  move(event) {
    const { picture, cursor } = this;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const down = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!picture?.lanes.length || (!step && !down)) return;
    event.preventDefault();
    const last = picture.lanes.length - 1;
    cursor.row = Math.min(last, Math.max(0, cursor.row + (down ?? 0)));
    const first = cursor.row * picture.width;
    const lane = picture.slots.subarray(first, first + picture.width);
    const here = lane[cursor.x] ?? -1;
    const sought = step ?? (here >= 0 ? 0 : 1);
    for (let x = cursor.x + sought; sought && x >= 0 && x < lane.length; x += sought) {
      if (at(lane, x) >= 0 && at(lane, x) !== here) {
        cursor.x = x;
        break;
      }
    }
    this.point(lane[cursor.x] ?? -1);
  }

  /** Describes a task in the readout. @param {number} slot */
  point(slot) {
    const { refs } = this;
    if (slot !== this.pointed) {
      this.pointed = slot;
      if (this.picture) this.draw(this.picture);
    }
    if (slot < 0 || slot >= refs.length) {
      setText(this.readout, HINT);
      return;
    }
    const { columns } = refs;
    const attempt = at(columns.attempt, slot);
    const words = [
      `ref ${at(columns.index, slot)}`,
      refState(at(columns.state, slot)).text,
      `from ${formatMoment(at(columns.started, slot))}`,
      formatDuration(refs.durationOf(slot)),
      refs.nodeOf(slot) && `on ${refs.nodeOf(slot)}`,
      `worker ${at(columns.worker, slot)}`,
      attempt && `try ${attempt + 1}`,
      refs.errorOf(slot),
    ];
    setText(this.readout, words.filter(Boolean).join(" · "));
  }

  end() {
    this.work.stop();
    this.resizes.disconnect();
  }
}
