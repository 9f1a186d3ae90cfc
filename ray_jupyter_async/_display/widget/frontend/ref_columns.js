/**
 * The refs of one open line, in columns, as the kernel sends them.
 *
 * A message holds the changed refs only. Its bytes are columns one after the
 * other, little endian, in the order of `LAYOUT`: the twin of open_lines.py.
 */

/** @typedef {Float64Array | Float32Array | Uint32Array | Uint16Array | Uint8Array} Column */

/**
 * @typedef {object} RefsMessage
 * @property {string} refs The line's name.
 * @property {boolean} start Whether all that came before is void.
 * @property {number} seq Counts the messages since the start, from 0.
 * @property {number} count How many refs are in this message.
 * @property {number} now Seconds on the line's clock.
 * @property {string[]} nodes Names new since the start, in the order of their codes.
 * @property {string[]} errors Texts new since the start, as well.
 */

/** Names with bytes of each item; the widest first, so that each is aligned. */
const LAYOUT = /** @type {const} */ ([
  ["size", 8],
  ["index", 4],
  ["submitted", 4],
  ["started", 4],
  ["ended", 4],
  ["worker", 4],
  ["node", 2],
  ["error", 2],
  ["state", 1],
  ["attempt", 1],
]);

const BYTES_PER_REF = LAYOUT.reduce((total, [, bytes]) => total + bytes, 0);

/** More are asked for anew: the kernel has let go of the oldest ones by then. */
const MOST_SLOTS = 500_000;

/**
 * Reads a typed array where the index is known to be inside.
 *
 * @param {Column | Int32Array} column
 * @param {number} slot
 * @returns {number}
 */
export function at(column, slot) {
  return /** @type {number} */ (column[slot]);
}

/** @param {number} capacity */
function columnsOf(capacity) {
  return {
    size: new Float64Array(capacity),
    index: new Uint32Array(capacity),
    submitted: new Float32Array(capacity),
    started: new Float32Array(capacity),
    ended: new Float32Array(capacity),
    worker: new Uint32Array(capacity),
    node: new Uint16Array(capacity),
    error: new Uint16Array(capacity),
    state: new Uint8Array(capacity),
    attempt: new Uint8Array(capacity),
  };
}

export class RefColumns {
  columns = columnsOf(1024);
  /** How many refs there are; each has a slot below this. */
  length = 0;
  /** Whether slots and indices have the same order. */
  inOrder = true;
  highest = -1;
  /** Counts the changes. */
  version = 0;
  /** @type {string[]} */
  nodes = [""];
  /** @type {string[]} */
  errors = [""];
  /**
   * The slot of each ref, by its index in the line.
   *
   * @type {Map<number, number>}
   */
  slots = new Map();
  /** The `seq` that the next message must have; -1 while a new start is waited for. */
  next = -1;
  now = 0;
  received = performance.now();

  clear() {
    this.columns = columnsOf(1024);
    this.length = 0;
    this.inOrder = true;
    this.highest = -1;
    this.nodes = [""];
    this.errors = [""];
    this.slots = new Map();
  }

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

  /**
   * Seconds from the start to the end of a task, or to now; NaN when unknown.
   *
   * @param {number} slot
   */
  durationOf(slot) {
    const { started, ended, state } = this.columns;
    const end = at(state, slot) === 2 ? this.clock : at(ended, slot);
    return end - at(started, slot);
  }

  /**
   * Takes what the kernel has sent.
   *
   * @param {RefsMessage} message
   * @param {DataView} bytes
   * @returns {boolean} False when something before it is missing: ask anew, once.
   */
  take(message, bytes) {
    if (message.start) {
      this.clear();
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

  /**
   * @param {number} count
   * @param {DataView} bytes
   */
  write(count, bytes) {
    if (bytes.byteLength !== count * BYTES_PER_REF) {
      throw new Error(`${bytes.byteLength} bytes for ${count} refs`);
    }
    // A copy, because where a message's bytes begin they need not be aligned.
    const from = bytes.byteOffset;
    const copy = bytes.buffer.slice(from, from + bytes.byteLength);
    /** @type {[keyof typeof this.columns, Column][]} */
    const parts = [];
    let offset = 0;
    for (const [name, width] of LAYOUT) {
      const type = /** @type {Float64ArrayConstructor} */ (
        this.columns[name].constructor
      );
      parts.push([name, new type(/** @type {ArrayBuffer} */ (copy), offset, count)]);
      offset += width * count;
    }
    const index = /** @type {Column} */ (parts[1]?.[1]);
    const slots = new Int32Array(count);
    for (let i = 0; i < count; i += 1) slots[i] = this.slotOf(at(index, i));
    for (const [name, part] of parts) {
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
