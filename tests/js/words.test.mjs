/** The words of the page; what the kernel words too is in ../words.json. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const FRONT_END = "../../ray_jupyter_async/_display/widget/frontend";
const words = await import(`${FRONT_END}/words.js`);
const shared = JSON.parse(
  readFileSync(new URL("../words.json", import.meta.url), "utf8"),
);

const own = {
  formatDuration: [
    [Number.NaN, ""],
    [-0.1, "0 ms"],
    [0.0125, "13 ms"],
    [1.234, "1.23 s"],
    [12.5, "13 s"],
  ],
  formatMoment: [
    [Number.NaN, ""],
    [1.234, "1.23 s"],
  ],
  formatSize: [
    [Number.NaN, ""],
    [0, "0 B"],
    [999, "999 B"],
    [1250, "1.3 kB"],
    [999_600, "1.0 MB"],
    [12_345_678, "12 MB"],
    [2e12, "2.0 TB"],
  ],
};

const cases = {
  formatElapsed: shared.elapsed,
  counted: shared.counted,
  ...own,
};

for (const [name, expected] of Object.entries(cases)) {
  for (const [value, said] of expected) {
    test(`${name}(${value}) is "${said}"`, () => {
      assert.equal(words[name](value, "ref"), said);
    });
  }
}

test("states have the texts and codes of the kernel", () => {
  const names = Object.keys(shared.states);
  assert.deepEqual(
    words.REF_STATES.map(({ text }) => text),
    Object.values(shared.states),
  );
  for (const name of ["RUNNING", "FAILED", "CANCELLING"]) {
    assert.equal(words[name], names.indexOf(name));
  }
});
