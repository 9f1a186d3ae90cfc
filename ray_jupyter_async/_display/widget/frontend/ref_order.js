/**
 * Which refs a table shows, in which order: sorting and filtering 100,000 of them
 * without holding up the page.
 */

import { at } from "./ref_columns.js";

/** @typedef {import("./ref_columns.js").RefColumns} RefColumns */
/** @typedef {"index" | "state" | "started" | "duration" | "node" | "worker" | "attempt" | "size" | "error"} SortKey */

/**
 * @typedef {object} Arrangement
 * @property {SortKey} sort
 * @property {boolean} descending
 * @property {readonly number[]} states Those shown; all when empty.
 * @property {string} text What a ref's number, node, worker or error must hold.
 */

const SLOTS_PER_STEP = 4096;
/** Keys sorted in one step: the engine takes about a millisecond. */
const KEYS_PER_RUN = 8192;

// A key of 32 bits and a slot of 20 fit into a double's 53. Sorting numbers
// without a comparing function is what engines do natively, ten times as fast.
const SLOT_FACTOR = 2 ** 20;
const LARGEST_KEY = 2 ** 32 - 1;

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/**
 * Gives a number of 32 bits that sorts as the float does; unknown ones come last.
 *
 * @param {number} value
 */
function sortableFloat(value) {
  if (Number.isNaN(value)) return LARGEST_KEY;
  float[0] = value;
  const raw = at(bits, 0);
  return raw & 0x80000000 ? ~raw >>> 0 : (raw | 0x80000000) >>> 0;
}

/**
 * @param {string[]} texts
 * @returns {Uint32Array} The rank of each text in the alphabet; the empty one last.
 */
function ranks(texts) {
  const order = [...texts.keys()].sort((a, b) => {
    const [one, other] = [texts[a] ?? "", texts[b] ?? ""];
    if (!one || !other) return Number(!one) - Number(!other);
    return one < other ? -1 : Number(one > other);
  });
  const found = new Uint32Array(texts.length);
  order.forEach((text, rank) => {
    found[text] = rank;
  });
  return found;
}

/**
 * @param {RefColumns} refs
 * @param {SortKey} sort
 * @returns {(slot: number) => number}
 */
function keyOf(refs, sort) {
  const { columns } = refs;
  if (sort === "duration") return (slot) => sortableFloat(refs.durationOf(slot));
  if (sort === "started" || sort === "size") {
    const column = columns[sort];
    return (slot) => sortableFloat(at(column, slot));
  }
  if (sort === "node" || sort === "error") {
    const rank = ranks(sort === "node" ? refs.nodes : refs.errors);
    const column = columns[sort];
    return (slot) => at(rank, at(column, slot));
  }
  const column = columns[sort];
  return (slot) => at(column, slot);
}

/**
 * @param {RefColumns} refs
 * @param {string} text
 * @returns {(slot: number) => boolean}
 */
function holding(refs, text) {
  const wanted = text.toLowerCase();
  /** @param {string} other */
  const has = (other) => other.toLowerCase().includes(wanted);
  // Of nodes and errors there are few: each is looked at once.
  const nodes = refs.nodes.map(has);
  const errors = refs.errors.map(has);
  const { node, error, index, worker } = refs.columns;
  const isNumber = /^\d+$/.test(wanted);
  return (slot) =>
    nodes[at(node, slot)] === true ||
    errors[at(error, slot)] === true ||
    (isNumber &&
      (String(at(index, slot)).includes(wanted) ||
        String(at(worker, slot)).includes(wanted)));
}

/**
 * Sorts numbers step by step: runs of them, then two runs into one.
 *
 * @param {Float64Array} keys Whose order is lost.
 * @returns {Generator<void, Float64Array>}
 */
function* sorted(keys) {
  const { length } = keys;
  for (let first = 0; first < length; first += KEYS_PER_RUN) {
    keys.subarray(first, first + KEYS_PER_RUN).sort();
    yield;
  }
  let from = keys;
  /** @type {Float64Array} */
  let into = new Float64Array(length > KEYS_PER_RUN ? length : 0);
  for (let run = KEYS_PER_RUN; run < length; run *= 2) {
    for (let first = 0; first < length; first += 2 * run) {
      const middle = Math.min(first + run, length);
      const end = Math.min(middle + run, length);
      let one = first;
      let other = middle;
      for (let i = first; i < end; i += 1) {
        const takeOne =
          other >= end || (one < middle && at(from, one) <= at(from, other));
        into[i] = takeOne ? at(from, one) : at(from, other);
        if (takeOne) one += 1;
        else other += 1;
        if (i % SLOTS_PER_STEP === 0) yield;
      }
    }
    [from, into] = [into, from];
  }
  return from;
}

/**
 * Arranges refs step by step; the last step hands over the slots in order.
 *
 * @param {RefColumns} refs
 * @param {Arrangement} arrangement
 * @param {(slots: Int32Array) => void} done
 * @returns {Generator<void, void>}
 */
export function* arrange(refs, { sort, descending, states, text }, done) {
  const { length } = refs;
  const fits = text ? holding(refs, text) : () => true;
  const wanted = new Uint8Array(256).fill(states.length ? 0 : 1);
  for (const state of states) wanted[state] = 1;
  const { state } = refs.columns;
  const chosen = new Int32Array(length);
  let count = 0;
  for (let slot = 0; slot < length; slot += 1) {
    if (at(wanted, at(state, slot)) && fits(slot)) {
      chosen[count] = slot;
      count += 1;
    }
    if (slot % SLOTS_PER_STEP === 0) yield;
  }
  const slots = chosen.subarray(0, count);
  // In the refs' own order, which is the usual one, there is nothing to sort.
  if (sort === "index" && refs.inOrder) {
    done(descending ? slots.reverse() : slots);
    return;
  }
  const key = keyOf(refs, sort);
  const keys = new Float64Array(count);
  for (let i = 0; i < count; i += 1) {
    const slot = at(slots, i);
    const value = key(slot);
    // Unknown ones stay last in both directions.
    const ordered =
      descending && value !== LARGEST_KEY ? LARGEST_KEY - 1 - value : value;
    keys[i] = ordered * SLOT_FACTOR + slot;
    if (i % SLOTS_PER_STEP === 0) yield;
  }
  const inOrder = yield* sorted(keys);
  for (let i = 0; i < count; i += 1) {
    slots[i] = at(inOrder, i) % SLOT_FACTOR;
    if (i % SLOTS_PER_STEP === 0) yield;
  }
  done(slots);
}
