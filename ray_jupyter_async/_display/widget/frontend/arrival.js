/**
 * A display's place in the notebook of this page: what is saved there while it is live,
 * and its static form at the end. arrival.py is the twin.
 *
 * It lives as long as the widget's model does, shown or not: `clear_output` and a
 * reload take the view away, not the model.
 */

import { NotebookDocument } from "./document.js";
import { viewId } from "./elements.js";
import { sendToKernel } from "./kernel_life.js";

/**
 * @typedef {object} Place
 * @property {number} place Its number; an answer says which one has arrived.
 * @property {Record<string, string>} data The static form.
 * @property {object} metadata
 * @property {Record<string, any> | null} view The widget's; null at the end.
 * @property {boolean} add Whether to add the output where there is none.
 */

/** Messages come before the outputs that were sent first have been drawn. */
const SETTLING_MS = 50;

/** For so long a static output is completed; what the page put there, by the page. */
const COMPLETED_MS = 4000;

const VIEW = "application/vnd.jupyter.widget-view+json";

export class Arrival {
  /** @param {import("@anywidget/types").AnyModel} model */
  constructor(model) {
    this.model = model;
    this.notebook = new NotebookDocument(model.widget_manager, model.get("place"));
    this.superseded = false;
    this.kernelEnded = false;
    /** @type {any} */
    this.saved = null;
    /** @type {Place | null} */
    this.last = null;
    this.notebook.onSave((shown) => {
      const { [VIEW]: view, ...data } = shown.data;
      // Before the first state has come, what stands beside the view is the last one.
      return view ? (this.saved ?? { ...shown, data }) : null;
    });
    this.notebook.onRerun(() => {
      this.superseded = true;
      this.tell("rerun");
    });
    this.notebook.onKernelEnd(() => {
      this.kernelEnded = true;
    });
    this.onMessage = (/** @type {any} */ message) => {
      if ("place" in message) this.receive(message);
    };
    model.on("msg:custom", this.onMessage);
    // Best effort: lines that are open in a page keep the display live.
    this.onLeave = () => this.tell("left");
    window.addEventListener("pagehide", this.onLeave);
    this.tell("here", { writes: this.notebook.writable });
  }

  /**
   * @param {"here" | "left" | "gone" | "arrived" | "rerun"} what
   * @param {Record<string, unknown>} [fields]
   */
  tell(what, fields = {}) {
    sendToKernel(this.model, { do: what, page: viewId(), ...fields });
  }

  /** @param {Place} place */
  receive(place) {
    this.last = place;
    const { data, metadata, view } = place;
    const output = { output_type: "display_data", data, metadata };
    this.saved = view && output;
    setTimeout(() => {
      if (this.last !== place) return;
      if (view) this.showLive({ ...output, data: { ...view, ...data } }, place.add);
      else this.showStatic(output, place);
    }, SETTLING_MS);
  }

  /**
   * @param {any} output
   * @param {boolean} add
   */
  showLive(output, add) {
    const found = this.notebook.find();
    if (found) {
      const shown = this.notebook.dataOf(found)[VIEW];
      if (shown?.model_id !== output.data[VIEW].model_id) {
        this.notebook.replace(found, output);
      }
    } else if (add && !this.superseded) {
      this.notebook.add(output);
    }
  }

  /**
   * @param {any} output
   * @param {Place} place
   */
  showStatic(output, place) {
    const { place: number, data } = place;
    const found = this.notebook.find();
    if (found && this.notebook.dataOf(found)["text/html"] === data["text/html"]) {
      this.tell("arrived", { number, stands: true });
      return;
    }
    if (found) this.notebook.replace(found, output);
    else if (this.superseded) {
      this.tell("arrived", { number, stands: true });
      return;
    } else if (!place.add || !this.notebook.add(output)) return;
    // The kernel's own updates do not find it: it keeps the widget for a while.
    setTimeout(() => {
      if (this.last === place) this.showStatic(output, { ...place, add: false });
    }, COMPLETED_MS);
  }

  /**
   * Reports that a view was removed, and whether its output is still there.
   *
   * @param {string} view
   */
  viewRemoved(view) {
    setTimeout(() => {
      const found = this.notebook.writable ? Boolean(this.notebook.find()) : null;
      this.tell("gone", { view, found });
    }, SETTLING_MS);
  }

  end() {
    this.model.off("msg:custom", this.onMessage);
    window.removeEventListener("pagehide", this.onLeave);
    this.notebook.end();
  }
}
