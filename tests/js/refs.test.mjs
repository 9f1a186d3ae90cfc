/** The refs of an open line: what is sent, sorted, filtered and laid out. */

import assert from "node:assert/strict";
import { test } from "node:test";

const FRONT_END = "../../ray_jupyter_async/_display/widget/frontend";
const { RefColumns } = await import(`${FRONT_END}/ref_columns.js`);
const { arrange } = await import(`${FRONT_END}/ref_order.js`);
const { layOut } = await import(`${FRONT_END}/lanes.js`);

const COLUMNS = [
  ["size", 8, "setFloat64"],
  ["index", 4, "setUint32"],
  ["started", 4, "setFloat32"],
  ["ended", 4, "setFloat32"],
  ["worker", 4, "setUint32"],
  ["node", 2, "setUint16"],
  ["error", 2, "setUint16"],
  ["state", 1, "setUint8"],
  ["attempt", 1, "setUint8"],
];

const UNKNOWN = { size: Number.NaN, started: Number.NaN, ended: Number.NaN };
const NODES = ["b", "a"];

/** Sends rows to columns, as the kernel does, at an odd place of a buffer. */
function send(refs, rows, more = {}) {
  const bytes = new DataView(new ArrayBuffer(1 + 30 * rows.length), 1);
  let offset = 0;
  for (const [name, width, set] of COLUMNS) {
    for (const row of rows) {
      bytes[set](offset, { ...UNKNOWN, ...row }[name] ?? 0, true);
      offset += width;
    }
  }
  const message = { refs: "f", start: true, seq: 0, now: 4, errors: ["E: no"] };
  return refs.take({ ...message, nodes: NODES, count: rows.length, ...more }, bytes);
}

function run(make) {
  let result;
  const steps = make((found) => {
    result = found;
  });
  while (!steps.next().done);
  return result;
}

function order(refs, how) {
  const all = { sort: "index", descending: false, states: [], text: "", ...how };
  const slots = run((done) => arrange(refs, all, done));
  return [...slots].map((slot) => refs.columns.index[slot]);
}

const ROWS = [
  { index: 2, started: 0.5, ended: 1, node: 1, worker: 70, state: 4, size: 1e12 },
  { index: 0, started: -1.5, ended: 3, node: 2, worker: 71, state: 5, error: 1 },
  { index: 1, state: 1 },
  { index: 3, started: 1, node: 1, worker: 72, state: 2, size: 10 },
];

test("a table sorts by every column, the unknown last", () => {
  const refs = new RefColumns();
  assert.ok(send(refs, ROWS));
  assert.deepEqual(order(refs, {}), [0, 1, 2, 3]);
  assert.deepEqual(order(refs, { descending: true }), [3, 2, 1, 0]);
  assert.deepEqual(order(refs, { sort: "started" }), [0, 2, 3, 1]);
  assert.deepEqual(order(refs, { sort: "started", descending: true }), [3, 2, 0, 1]);
  assert.deepEqual(order(refs, { sort: "duration" }), [2, 3, 0, 1]);
  assert.deepEqual(order(refs, { sort: "size" }), [3, 2, 0, 1]);
  assert.deepEqual(order(refs, { sort: "node" }), [0, 2, 3, 1]);
  assert.deepEqual(order(refs, { sort: "node", descending: true }), [2, 3, 0, 1]);
  assert.deepEqual(order(refs, { sort: "error" }), [0, 2, 1, 3]);
  assert.deepEqual(order(refs, { sort: "state" }), [1, 3, 2, 0]);
});

test("a table filters by state and text", () => {
  const refs = new RefColumns();
  assert.ok(send(refs, ROWS));
  assert.deepEqual(order(refs, { states: [4, 5] }), [0, 2]);
  assert.deepEqual(order(refs, { text: "NO" }), [0]);
  assert.deepEqual(order(refs, { text: "b" }), [2, 3]);
  assert.deepEqual(order(refs, { text: "7" }), [0, 2, 3]);
  assert.deepEqual(order(refs, { text: "71", states: [4] }), []);
});

test("changed refs keep their places, and a start voids them", () => {
  const refs = new RefColumns();
  assert.ok(send(refs, ROWS));
  const more = { start: false, seq: 1, nodes: [], errors: [] };
  assert.ok(send(refs, [{ index: 1, state: 4, node: 2 }], more));
  assert.equal(refs.length, 4);
  assert.equal(refs.nodeOf(2), "a");
  const { version } = refs;
  assert.ok(send(refs, [{ index: 7 }]));
  assert.equal(refs.length, 1);
  assert.ok(refs.version > version);
});

test("100,000 refs sort as the engine sorts them", () => {
  const refs = new RefColumns();
  const rows = Array.from({ length: 100_000 }, (_, index) => ({
    index,
    started: (index * 7919) % 100_003,
    state: 4,
  }));
  assert.ok(send(refs, rows));
  const sorted = rows.toSorted((a, b) => a.started - b.started);
  assert.deepEqual(
    order(refs, { sort: "started" }),
    sorted.map(({ index }) => index),
  );
});

test("every worker has a lane, below those of its node", () => {
  const refs = new RefColumns();
  assert.ok(send(refs, ROWS));
  const { lanes, slots, width, from, span } = run((done) => layOut(refs, 100, done));
  assert.deepEqual(
    lanes.map(({ node, worker }) => `${node} ${worker}`),
    ["b 70", "b 72", "a 71"],
  );
  assert.equal(from, -1.5);
  const pixel = (row, at) =>
    slots[row * width + Math.floor(((at - from) / span) * width)];
  assert.equal(pixel(0, 0.75), 0);
  assert.equal(pixel(0, 2), -1);
  assert.equal(pixel(1, 3.9), 3);
  assert.equal(pixel(2, 0), 1);
});

test("a failed task is seen among many at one pixel", () => {
  const refs = new RefColumns();
  const rows = Array.from({ length: 50 }, (_, index) => ({
    index,
    started: index / 1000,
    ended: index === 49 ? 100 : index / 1000,
    state: index === 3 ? 5 : 4,
    worker: 7,
  }));
  assert.ok(send(refs, rows));
  const { slots } = run((done) => layOut(refs, 10, done));
  assert.equal(slots[0], 3);
});
