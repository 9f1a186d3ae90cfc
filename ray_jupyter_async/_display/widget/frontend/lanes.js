/**
 * The picture of a timeline as numbers: which task is at which pixel.
 *
 * Every worker has a lane. Nothing is drawn here; however many tasks there are, the
 * result is as large as the picture.
 */

import { at } from "./ref_columns.js";
import { FAILED, RUNNING } from "./words.js";

/** @typedef {import("./ref_columns.js").RefColumns} RefColumns */

/**
 * @typedef {object} Lane
 * @property {string} node
 * @property {number} worker
 * @property {number} row From the top.
 */

/** More workers share the last lane. */
const MOST_LANES = 128;
const TASKS_PER_STEP = 1024;

/** The workers of a line, in the order in which they are drawn. */
export class Lanes {
  constructor() {
    /** @type {Map<string, Lane>} */
    this.known = new Map();
    /** @type {Lane[]} */
    this.inOrder = [];
  }

  /**
   * @param {string} node
   * @param {number} worker
   * @returns {Lane}
   */
  of(node, worker) {
    const key = `${node} ${worker}`;
    let lane = this.known.get(key);
    if (!lane) {
      const full = this.inOrder.length >= MOST_LANES;
      const last = this.inOrder[MOST_LANES - 1];
      lane = full && last ? last : this.add(node, worker);
      this.known.set(key, lane);
    }
    return lane;
  }

  /**
   * @param {string} node
   * @param {number} worker
   */
  add(node, worker) {
    const lane = { node, worker, row: 0 };
    // Below the lanes of its node: those above it stay where they are.
    const after = this.inOrder.map((other) => other.node).lastIndexOf(node);
    this.inOrder.splice(after < 0 ? this.inOrder.length : after + 1, 0, lane);
    this.inOrder.forEach((other, row) => {
      other.row = row;
    });
    return lane;
  }
}

/**
 * @typedef {object} Picture
 * @property {number} width In pixels of the screen.
 * @property {number} from Seconds at the left edge.
 * @property {number} span Seconds from the left edge to the right one.
 * @property {Lane[]} lanes
 * @property {Int32Array} slots Of the task at each pixel, lane by lane; -1 for none.
 */

/**
 * Rounds up to a number that stays for a while as time goes on.
 *
 * @param {number} seconds
 */
function roundSpan(seconds) {
  const step = 1.25;
  return step ** Math.ceil(Math.log(Math.max(seconds, 0.1)) / Math.log(step));
}

/**
 * Looks lanes up by numbers: a text for each of 100,000 tasks would take longer than
 * all the rest.
 *
 * @param {RefColumns} refs
 * @param {Lanes} lanes
 * @returns {(slot: number) => Lane}
 */
function laneFinder(refs, lanes) {
  const { node, worker } = refs.columns;
  /** @type {Map<number, Lane>} */
  const found = new Map();
  return (slot) => {
    const key = at(node, slot) * 2 ** 32 + at(worker, slot);
    let lane = found.get(key);
    if (!lane) {
      lane = lanes.of(refs.nodeOf(slot), at(worker, slot));
      found.set(key, lane);
    }
    return lane;
  };
}

/**
 * Lays out all tasks step by step; the last step hands over the picture.
 *
 * @param {RefColumns} refs
 * @param {Lanes} lanes
 * @param {number} width
 * @param {(picture: Picture) => void} done
 * @returns {Generator<void, void>}
 */
export function* layOut(refs, lanes, width, done) {
  const { length, columns } = refs;
  const { started, ended, state } = columns;
  const laneOf = laneFinder(refs, lanes);
  const now = refs.clock;
  let from = Number.POSITIVE_INFINITY;
  let until = 0;
  for (let slot = 0; slot < length; slot += 1) {
    const begin = at(started, slot);
    if (begin < from) from = begin;
    if (begin >= from) laneOf(slot);
    const end = at(state, slot) === RUNNING ? now : at(ended, slot);
    if (end > until) until = end;
    if (slot % TASKS_PER_STEP === 0) yield;
  }
  if (from === Number.POSITIVE_INFINITY) from = 0;
  const span = roundSpan(until - from);
  const inOrder = [...lanes.inOrder];
  const slots = new Int32Array(width * inOrder.length).fill(-1);
  const scale = width / span;
  for (let slot = 0; slot < length; slot += 1) {
    const begin = at(started, slot);
    if (!Number.isNaN(begin)) {
      const { row } = laneOf(slot);
      const ends = at(state, slot) === RUNNING ? now : at(ended, slot);
      const left = Math.floor((begin - from) * scale);
      const right = Number.isNaN(ends) ? left : Math.floor((ends - from) * scale);
      const first = row * width;
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
  done({ width, from, span, lanes: inOrder, slots });
}
