/**
 * The picture of a timeline as numbers: which task is at which pixel.
 *
 * Every worker has a lane. Nothing is drawn here; however many tasks there are, the
 * result is as large as the picture.
 */

import { at } from "./ref_columns.js";
import { FAILED } from "./words.js";

/** @typedef {import("./ref_columns.js").RefColumns} RefColumns */
/** @typedef {import("./ref_columns.js").Lane} Lane */

// The width is in pixels of the screen, from `from` to `from + span` seconds; `slots` are
// those of the task at each pixel, lane by lane, -1 for none.
/** @typedef {{ width: number, from: number, span: number, lanes: Lane[], slots: Int32Array }} Picture */

/** More workers share the last lane. */
const MOST_LANES = 128;
const TASKS_PER_STEP = 1024;

// By numbers: a text for each of 100,000 tasks would take longer than all the rest.
/** @type {(refs: RefColumns, slot: number) => Lane} */
export function laneOf(refs, slot) {
  const { lanes, columns } = refs;
  const code = at(columns.node, slot);
  const worker = at(columns.worker, slot);
  const key = code * 2 ** 32 + worker;
  let lane = lanes.get(key);
  if (!lane) {
    lane = { code, node: refs.nodeOf(slot), worker, row: 0 };
    if (lanes.size >= MOST_LANES) lane = [...lanes.values()][MOST_LANES - 1] ?? lane;
    lanes.set(key, lane);
  }
  return lane;
}

// Rounds up, so that the scale stays for a while as time goes on.
/** @param {number} seconds */
function roundSpan(seconds) {
  const step = 1.25;
  return step ** Math.ceil(Math.log(Math.max(seconds, 0.1)) / Math.log(step));
}

// Lays out all tasks step by step; the last step hands over the picture.
/** @type {(refs: RefColumns, width: number, done: (picture: Picture) => void) => Generator<void, void>} */
export function* layOut(refs, width, done) {
  const { length, columns } = refs;
  const { started, state } = columns;
  let from = Number.POSITIVE_INFINITY;
  let until = 0;
  for (let slot = 0; slot < length; slot += 1) {
    const begin = at(started, slot);
    if (!Number.isNaN(begin)) {
      laneOf(refs, slot);
      from = Math.min(from, begin);
      until = Math.max(until, refs.endOf(slot) || 0);
    }
    if (slot % TASKS_PER_STEP === 0) yield;
  }
  if (from === Number.POSITIVE_INFINITY) from = 0;
  const span = roundSpan(until - from);
  // A node's lanes below each other, in the order in which they came.
  const lanes = [...new Set(refs.lanes.values())].sort((a, b) => a.code - b.code);
  lanes.forEach((lane, row) => {
    lane.row = row;
  });
  const slots = new Int32Array(width * lanes.length).fill(-1);
  const scale = width / span;
  for (let slot = 0; slot < length; slot += 1) {
    const begin = at(started, slot);
    if (!Number.isNaN(begin)) {
      const left = Math.max(0, Math.floor((begin - from) * scale));
      const right = Math.floor((refs.endOf(slot) - from) * scale) || 0;
      const first = laneOf(refs, slot).row * width;
      const last = first + Math.min(width, Math.max(left + 1, right));
      const failed = at(state, slot) === FAILED;
      for (let pixel = first + left; pixel < last; pixel += 1) {
        // Where many share a pixel, one that failed is the one to see.
        const other = at(slots, pixel);
        if (failed || other < 0 || at(state, other) !== FAILED) slots[pixel] = slot;
      }
    }
    if (slot % TASKS_PER_STEP === 0) yield;
  }
  done({ width, from, span, lanes, slots });
}
