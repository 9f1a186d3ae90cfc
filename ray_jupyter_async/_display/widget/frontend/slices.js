/**
 * Long work in slices: the page answers between two of them.
 */

/** Milliseconds of work between two chances for the page to do something else. */
const SLICE_MS = 6;

/**
 * Runs generators, each in slices; a new run of one replaces the old one.
 *
 * Work waits for animation frames, so that a hidden page does none.
 */
export class SlicedWork {
  constructor() {
    /** @type {Generator<void, void> | null} */
    this.work = null;
    this.frame = 0;
  }

  /**
   * Begins anew with this work; what was unfinished is given up.
   *
   * @param {Generator<void, void>} work Yields often, at least each millisecond.
   */
  start(work) {
    this.work = work;
    this.frame ||= requestAnimationFrame(() => this.step());
  }

  get busy() {
    return this.work !== null;
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.work = null;
  }

  step() {
    this.frame = 0;
    const work = this.work;
    if (!work) return;
    const until = performance.now() + SLICE_MS;
    do {
      if (work.next().done) {
        if (this.work === work) this.work = null;
        return;
      }
    } while (performance.now() < until && this.work === work);
    this.frame ||= requestAnimationFrame(() => this.step());
  }
}
