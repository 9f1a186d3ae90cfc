/**
 * The refs of one open line, in columns, as the kernel sends them.
 *
 * A message holds the changed refs only. Its bytes are columns one after the other,
 * little endian, in the order of `LAYOUT`; ref_messages.py writes them.
 */

import { RUNNING } from "./words.js";

/** @typedef {import("./messages.js").RefsMessage} RefsMessage */
/** @typedef {{ code: number, node: string, worker: number, row: number }} Lane Of a worker. */
/** @typedef {Float64Array | Float32Array | Uint32Array | Uint16Array | Uint8Array} Column */

/** The widest first, so that each is aligned. */
const LAYOUT = /** @type {const} */ ([
  ["size", Float64Array],
  ["index", Uint32Array],
  ["started", Float32Array],
  ["ended", Float32Array],
  ["worker", Uint32Array],
  ["node", Uint16Array],
  ["error", Uint16Array],
  ["state", Uint8Array],
  ["attempt", Uint8Array],
]);

/** @typedef {Record<(typeof LAYOUT)[number][0], Column>} Columns */

const BYTES_PER_REF = LAYOUT.reduce((sum, [, type]) => sum + type.BYTES_PER_ELEMENT, 0);

/** Beyond, all refs are asked for again: the kernel has evicted the oldest by then. */
const MOST_SLOTS = 500_000;

// Where the index is known to be inside.
/** @type {(column: Column | Int32Array, slot: number) => number} */
export function at(column, slot) {
  return /** @type {number} */ (column[slot]);
}

/** @param {number} capacity */
function columnsOf(capacity) {
  const made = LAYOUT.map(([name, Type]) => [name, new Type(capacity)]);
  return /** @type {Columns} */ (Object.fromEntries(made));
}

export class RefColumns {
  columns = columnsOf(1024);
  /** How many refs there are; each has a slot below this. */
  length = 0;
  /** Whether slots and indices have the same order. */
  inOrder = true;
  highest = -1;
  nodes = [""];
  errors = [""];
  /** The slot of each ref, by its index in the line. @type {Map<number, number>} */
  slots = new Map();
  /** The timeline's lanes, by node and worker. @type {Map<number, Lane>} */
  lanes = new Map();
  /** Counts the changes. */
  version = 0;
  /** The `seq` of the next message; -1 while a new start is waited for. */
  next = -1;
  /** Seconds on the line's clock when the last message was received. */
  now = 0;
  received = performance.now();

  /** Seconds on the line's clock, now. */
  get clock() {
    return this.now + (performance.now() - this.received) / 1000;
  }

  /** @param {number} slot */
  nodeOf(slot) {
    return this.nodes[at(this.columns.node, slot)] ?? "";
  }

  /** @param {number} slot */
  errorOf(slot) {
    return this.errors[at(this.columns.error, slot)] ?? "";
  }

  /** When a task ended, or now; NaN when unknown. @param {number} slot */
  endOf(slot) {
    const { state, ended } = this.columns;
    return at(state, slot) === RUNNING ? this.clock : at(ended, slot);
  }

  /** Seconds that a task took, or takes by now; NaN when unknown. @param {number} slot */
  durationOf(slot) {
    return this.endOf(slot) - at(this.columns.started, slot);
  }

  // False when something before it is missing: the line is to be opened again, once.
  /** @type {(message: RefsMessage, bytes: DataView) => boolean} */
  take(message, bytes) {
    if (bytes.byteLength !== message.count * BYTES_PER_REF) {
      console.debug("ray_jupyter_async: ignored refs of a wrong length", message);
      return true;
    }
    if (message.start) {
      Object.assign(this, new RefColumns(), { version: this.version });
    } else if (message.seq !== this.next || this.length > MOST_SLOTS) {
      const waiting = this.next < 0;
      this.next = -1;
      return waiting;
    }
    this.next = message.seq + 1;
    this.nodes.push(...message.nodes);
    this.errors.push(...message.errors);
    this.now = message.now;
    this.received = performance.now();
    this.version += 1;
    this.write(message.count, bytes);
    return true;
  }

  /** @type {(count: number, bytes: DataView) => void} */
  write(count, { buffer, byteOffset, byteLength }) {
    // A copy, because where a message's bytes begin they need not be aligned.
    const copy = new Uint8Array(buffer, byteOffset, byteLength).slice().buffer;
    let offset = 0;
    const parts = LAYOUT.map(([name, Type]) => {
      const part = new Type(copy, offset, count);
      offset += part.byteLength;
      return { name, part };
    });
    const index = parts.find(({ name }) => name === "index")?.part ?? [];
    const slots = Int32Array.from(index, (i) => this.slotOf(i));
    for (const { name, part } of parts) {
      const column = this.columns[name];
      for (let i = 0; i < count; i += 1) column[at(slots, i)] = at(part, i);
    }
  }

  /** @param {number} index */
  slotOf(index) {
    let slot = this.slots.get(index);
    if (slot === undefined) {
      slot = this.length;
      this.inOrder &&= index > this.highest;
      this.highest = Math.max(this.highest, index);
      this.slots.set(index, slot);
      this.length += 1;
      if (this.length > this.columns.index.length) this.grow();
    }
    return slot;
  }

  grow() {
    const grown = columnsOf(2 * this.columns.index.length);
    for (const [name] of LAYOUT) grown[name].set(this.columns[name]);
    this.columns = grown;
  }
}
