/**
 * The notebook in which this page shows a display, as JupyterLab 4 and Notebook 7 have
 * it: found through the widget manager. Other front ends have none of it; where
 * anything is missing, nothing is done.
 */

/** @typedef {{ outputs: any, [more: string]: any }} Holder A cell, or an `ipywidgets.Output`'s model. */
/** @typedef {{ holder: Holder, index: number }} Found An output, by its place in a holder. */

/** As `MARK` in arrival.py. */
const MARK = "ray_jupyter_async";

/** JupyterLab's own name for changes of its file that it does not draw. */
const UNDRAWN = "silent-change";

/** JupyterLab's states of a kernel whose widgets have ended with it. */
const ENDED = ["restarting", "autorestarting", "terminating", "dead"];

export class NotebookDocument {
  /** Where the display was last. @type {Holder | null} */
  holder = null;
  /** @type {(() => void)[]} */
  undo = [];

  /** @param {any} manager The widget manager. @param {{ display: string, cell: string }} place */
  constructor(manager, place) {
    this.manager = manager;
    this.context = manager?.context;
    this.place = place;
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

  /** @param {Found} found @returns {Record<string, any>} */
  dataOf({ holder, index }) {
    return holder.outputs.get(index).data;
  }

  /** @type {(found: Found, output: object) => void} */
  replace({ holder, index }, output) {
    holder.outputs.set(index, output);
    this.sync(holder);
  }

  // Where the display was last, or else to its cell; false where neither is there.
  /** @type {(output: object) => boolean} */
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

  /** Sends the outputs of a widget's model to the kernel. @param {Holder} holder */
  sync(holder) {
    if (holder.sharedModel || !holder.set || !holder.save_changes) return;
    holder.set("outputs", holder.outputs.toJSON(), { newMessage: true });
    holder.save_changes();
  }

  /** @type {(signal: any, slot: (sender: any, change: any) => void) => void} */
  listen(signal, slot) {
    signal.connect(slot);
    this.undo.push(() => signal.disconnect(slot));
  }

  // Whenever the notebook is saved, another output goes into the file, made of what is
  // shown; null leaves the file as it is. The page goes on showing what it shows.
  /** @param {(shown: any) => any} makeOutput */
  onSave(makeOutput) {
    if (!this.writable) return;
    this.listen(this.context.saveState, (_context, state) => {
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
    });
  }

  /** @param {() => void} callback Called when the display's cell is run again. */
  onRerun(callback) {
    const changed = this.cell()?.stateChanged;
    if (!changed) return;
    this.listen(changed, (_cell, { name, newValue }) => {
      if (name === "executionState" && newValue === "running") callback();
    });
  }

  /** @param {() => void} callback Called when the kernel is restarted or ends. */
  onKernelEnd(callback) {
    const session = this.context?.sessionContext;
    if (!session?.statusChanged || !session.kernelChanged) return;
    this.listen(session.statusChanged, (_session, status) => {
      if (ENDED.includes(status)) callback();
    });
    this.listen(session.kernelChanged, callback);
  }

  end() {
    for (const undo of this.undo.splice(0)) undo();
  }
}
