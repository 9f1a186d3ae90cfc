/** What the page takes from the kernel, and what it sends; see ../messages.json. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mock, test } from "node:test";
import { setTimeout } from "node:timers/promises";

globalThis.window = new EventTarget();

const FRONT_END = "../../ray_jupyter_async/_display/widget/frontend";
const { receive } = await import(`${FRONT_END}/messages.js`);
const { KernelLink } = await import(`${FRONT_END}/kernel.js`);
const { Arrival } = await import(`${FRONT_END}/arrival.js`);
const { RefColumns } = await import(`${FRONT_END}/ref_columns.js`);

const samples = JSON.parse(
  readFileSync(new URL("../messages.json", import.meta.url), "utf8"),
);
mock.method(console, "debug", () => {});

/** Passes a message on, and returns the kinds of those that were taken. */
function taken(content) {
  const found = [];
  const kinds = Object.keys(samples.from_kernel);
  const handlers = kinds.map((kind) => [kind, () => found.push(kind)]);
  receive(content, undefined, Object.fromEntries(handlers));
  return found;
}

/** Every copy of a message in which one field is missing or of another type. */
function* spoiled(message) {
  for (const field of Object.keys(message)) {
    const { [field]: value, ...rest } = message;
    yield rest;
    yield { ...message, [field]: typeof value === "string" ? 7 : "7" };
    if (field !== "view") yield { ...message, [field]: null };
    if (Array.isArray(value)) yield { ...message, [field]: [...value, 7] };
  }
}

for (const [kind, message] of Object.entries(samples.from_kernel)) {
  test(`${kind} is taken as it is, and ignored where it is malformed`, () => {
    assert.deepEqual(taken(message), [kind]);
    for (const wrong of spoiled(message)) {
      assert.ok(!taken(wrong).includes(kind), JSON.stringify(wrong));
    }
  });
}

test("a final form has no view", () => {
  assert.deepEqual(taken({ ...samples.from_kernel.place, view: null }), ["place"]);
});

test("unknown messages are ignored with a note", () => {
  console.debug.mock.resetCalls();
  for (const unknown of [null, undefined, 7, "refs", [], {}, { explode: 1 }]) {
    assert.deepEqual(taken(unknown), []);
  }
  assert.equal(console.debug.mock.callCount(), 7);
});

test("refs of a wrong length are ignored and asked for again once", () => {
  const refs = new RefColumns();
  const { refs: message } = samples.from_kernel;
  const bytes = (count) => new DataView(new ArrayBuffer(count));
  assert.ok(refs.take(message, bytes(29)));
  assert.equal(refs.length, 0);
  assert.ok(refs.take(message, bytes(30)));
  assert.equal(refs.length, 1);
  assert.ok(refs.take({ ...message, start: false, seq: 1 }, bytes(31)));
  assert.ok(!refs.take({ ...message, start: false, seq: 2 }, bytes(30)));
  assert.ok(refs.take({ ...message, start: false, seq: 3 }, bytes(30)));
  assert.equal(refs.length, 1);
});

test("the page sends what the kernel parses", async (t) => {
  const sent = [];
  const model = {
    get: () => ({ display: "d", cell: "c" }),
    on: () => {},
    off: () => {},
    send: (content) => sent.push(content),
  };
  const said = [];
  const link = new KernelLink(model, {}, (words) => said.push(words));
  t.after(() => link.end());
  link.openLine("f");
  link.ask("pause", { on: true });
  link.ask("cancel");
  link.ask("cancel", { line: "f", refs: [3] });
  link.ask("force", { line: "f" });
  link.ask("retry", { line: "f" });
  link.receive({ answer: sent.at(-1).request, said: "1 submitted again" });
  assert.deepEqual(said, ["1 submitted again"]);
  link.end();
  const arrival = new Arrival(model);
  arrival.viewRemoved("v");
  await setTimeout(100);
  window.dispatchEvent(new Event("pagehide"));
  arrival.end();
  const requests = sent.map(({ request, page, ...rest }) => {
    assert.equal(typeof (request ?? page), "string");
    if (request !== undefined) {
      assert.equal(rest.view, link.view);
      delete rest.view;
    }
    return rest;
  });
  assert.deepEqual(requests, samples.from_page);
});
