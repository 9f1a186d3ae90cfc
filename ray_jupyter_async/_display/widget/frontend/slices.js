/** Long work in slices: the page answers between two of them. */

/** Milliseconds of work between two chances for the page to do something else. */
const SLICE_MS = 6;

/**
 * The work behind a panel that shows refs, done again when they have changed.
 *
 * It waits for animation frames, so that a hidden page does none.
 */
export class SlicedWork {
  shown = false;
  /** @type {Generator<void, void> | null} */
  work = null;
  frame = 0;
  /** Of the refs, when the last work began. */
  version = -1;
  doneAt = 0;

  /** @param {import("./ref_columns.js").RefColumns} refs @param {number} period In ms. */
  constructor(refs, period) {
    this.refs = refs;
    this.period = period;
  }

  get busy() {
    return this.work !== null;
  }

  // At most once in a period; `moving` is for what changes with time alone.
  /** Whether it is time to start again. */
  isDue(moving = false) {
    if (!this.shown || this.busy) return false;
    if (performance.now() - this.doneAt < this.period) return false;
    return moving || this.version !== this.refs.version;
  }

  /** @param {boolean} shown */
  setShown(shown) {
    this.shown = shown;
    if (!shown) this.stop();
  }

  // What is unfinished is given up. The work yields at least each millisecond.
  /** @param {Generator<void, void>} work */
  start(work) {
    this.work = work;
    this.version = this.refs.version;
    this.frame ||= requestAnimationFrame(() => this.step());
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.work = null;
  }

  step() {
    this.frame = 0;
    const until = performance.now() + SLICE_MS;
    do {
      if (!this.work?.next().done) continue;
      this.work = null;
      this.doneAt = performance.now();
    } while (this.work && performance.now() < until);
    if (this.work) this.frame ||= requestAnimationFrame(() => this.step());
  }
}
