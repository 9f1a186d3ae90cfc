/**
 * The notebook in which this page shows a display, as JupyterLab 4 and Notebook 7 have
 * it: found through the widget manager. Other front ends have none of it, and where
 * anything is missing nothing is done.
 */

/**
 * @typedef {object} Output
 * @property {Record<string, any>} metadata
 * @property {Record<string, any>} data
 * @property {() => any} toJSON
 */

/**
 * @typedef {object} OutputArea The model of a cell's, or of an `ipywidgets.Output`'s.
 * @property {number} length
 * @property {boolean} [isDisposed]
 * @property {boolean} [clearNext] Whether the next output clears all others.
 * @property {(index: number) => Output} get
 * @property {(index: number, output: any) => void} set
 * @property {(output: any) => number} add
 * @property {() => any[]} toJSON
 */

/**
 * @typedef {object} Holder What has an output area: a cell, or a widget's model.
 * @property {OutputArea} outputs
 * @property {any} [sharedModel] A cell's.
 * @property {(key: string, value: any, options: any) => void} [set] A widget model's.
 * @property {() => void} [save_changes]
 */

/** @typedef {{ holder: Holder, index: number }} Found */

/** As `MARK` in arrival.py. */
const MARK = "ray_jupyter_async";

/** JupyterLab's own name for changes of its file that it does not draw. */
const UNDRAWN = "silent-change";

/** What JupyterLab calls a kernel whose widgets have ended with it. */
const ENDED = ["restarting", "autorestarting", "terminating", "dead"];

export class NotebookDocument {
  /**
   * @param {unknown} manager The front end's widget manager.
   * @param {{ display: string, cell: string }} place
   */
  constructor(manager, place) {
    this.manager = /** @type {any} */ (manager);
    this.context = this.manager?.context;
    this.place = place;
    /** @type {Holder | null} */
    this.holder = null;
    /** @type {(() => void)[]} */
    this.undo = [];
  }

  /** Whether outputs can be found and changed. */
  get writable() {
    const { context } = this;
    if (!context?.saveState || context.isDisposed) return false;
    return Boolean(context.model?.cells?.[Symbol.iterator]);
  }

  /** @returns {Iterable<Holder>} */
  *holders() {
    if (!this.writable) return;
    for (const cell of this.context.model.cells) {
      if (cell.type === "code" && cell.outputs) yield cell;
    }
    for (const model of this.manager._modelsSync?.values() ?? []) {
      const { outputs } = model;
      if (outputs?.get && outputs.set && outputs.add) yield model;
    }
  }

  /** @returns {Found | null} */
  find() {
    for (const holder of this.holders()) {
      for (let index = 0; index < holder.outputs.length; index++) {
        const mark = holder.outputs.get(index)?.metadata?.[MARK];
        if (mark?.display === this.place.display) {
          this.holder = holder;
          return { holder, index };
        }
      }
    }
    return null;
  }

  /** @param {Found} found */
  dataOf({ holder, index }) {
    return holder.outputs.get(index).data;
  }

  /**
   * @param {Found} found
   * @param {any} output
   */
  replace({ holder, index }, output) {
    holder.outputs.set(index, output);
    this.sync(holder);
  }

  /**
   * Adds an output where the display was last, or else to its cell.
   *
   * @param {any} output
   * @returns {boolean} Whether there is such a place.
   */
  add(output) {
    let { holder } = this;
    if (holder?.outputs?.isDisposed !== false) holder = this.cell();
    const area = holder?.outputs;
    if (!holder || !area) return false;
    // `clear_output(wait=True)` waits for an output of the cell's own.
    const { clearNext } = area;
    if (clearNext) area.clearNext = false;
    area.add(output);
    if (clearNext) area.clearNext = true;
    this.sync(holder);
    return true;
  }

  /** @returns {any} */
  cell() {
    for (const cell of this.writable ? this.context.model.cells : []) {
      if (cell.id === this.place.cell) return cell.type === "code" ? cell : null;
    }
    return null;
  }

  /** @param {Holder} holder */
  sync(holder) {
    if (holder.sharedModel || !holder.set || !holder.save_changes) return;
    holder.set("outputs", holder.outputs.toJSON(), { newMessage: true });
    holder.save_changes();
  }

  /**
   * Puts another output into the file whenever the notebook is saved; the page goes on
   * showing what it shows.
   *
   * @param {(shown: any) => any} makeOutput Makes it of what is shown; null leaves the
   *   file as it is.
   */
  onSave(makeOutput) {
    if (!this.writable) return;
    const save = (/** @type {any} */ _sender, /** @type {string} */ state) => {
      const found = state === "started" ? this.find() : null;
      const shared = found?.holder.sharedModel;
      // Before JupyterLab 4.2 a change is always drawn; a shared notebook is saved by
      // its server.
      if (!found || !shared?.appendStreamOutput) return;
      if (this.context.model.collaborative) return;
      const { holder, index } = found;
      const output = makeOutput(holder.outputs.get(index).toJSON());
      if (!output) return;
      shared.updateOutputs(index, index + 1, [output], UNDRAWN);
      // The file's text is made in this task.
      queueMicrotask(() => {
        const shown = holder.outputs.get(index).toJSON();
        shared.updateOutputs(index, index + 1, [shown], UNDRAWN);
      });
    };
    this.context.saveState.connect(save);
    this.undo.push(() => this.context.saveState.disconnect(save));
  }

  /** @param {() => void} callback Called when the display's cell is run again. */
  onRerun(callback) {
    const changed = this.cell()?.stateChanged;
    if (!changed) return;
    const look = (/** @type {any} */ _cell, /** @type {any} */ change) => {
      if (change.name === "executionState" && change.newValue === "running") callback();
    };
    changed.connect(look);
    this.undo.push(() => changed.disconnect(look));
  }

  /** @param {() => void} callback Called when the kernel is restarted or ends. */
  onKernelEnd(callback) {
    const session = this.context?.sessionContext;
    if (!session?.statusChanged || !session.kernelChanged) return;
    const look = (/** @type {any} */ _session, /** @type {string} */ status) => {
      if (ENDED.includes(status)) callback();
    };
    session.statusChanged.connect(look);
    session.kernelChanged.connect(callback);
    this.undo.push(() => {
      session.statusChanged.disconnect(look);
      session.kernelChanged.disconnect(callback);
    });
  }

  end() {
    for (const undo of this.undo.splice(0)) undo();
  }
}
