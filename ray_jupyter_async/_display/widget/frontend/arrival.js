/**
 * A display's place in the notebook of this page: what is saved there while it is live,
 * and its static form at the end. arrival.py is the kernel's side.
 *
 * It lives as long as the widget's model does, shown or not: `clear_output` and a
 * reload take the view away, not the model.
 */

import { NotebookDocument } from "./document.js";
import { PAGE_ID } from "./elements.js";
import { sendToKernel } from "./kernel.js";
import { receive } from "./messages.js";

/** @typedef {import("./messages.js").Place} Place */
/** @typedef {import("./messages.js").Report} Report */

/** Messages come before the outputs that were sent first have been drawn. */
const SETTLING_MS = 50;

/** For so long a static output is completed; what the page put there, by the page. */
const COMPLETED_MS = 4000;

const VIEW = "application/vnd.jupyter.widget-view+json";

export class Arrival {
  superseded = false;
  kernelEnded = false;
  /** @type {any} */
  saved = null;
  /** @type {Place | null} */
  last = null;

  /** @param {import("@anywidget/types").AnyModel} model */
  constructor(model) {
    this.model = model;
    this.notebook = new NotebookDocument(model.widget_manager, model.get("place"));
    this.notebook.onSave((shown) => {
      const { [VIEW]: view, ...data } = shown.data;
      // Before the first state has come, what stands beside the view is the last one.
      return view ? (this.saved ?? { ...shown, data }) : null;
    });
    this.notebook.onRerun(() => {
      this.superseded = true;
      this.report("rerun");
    });
    this.notebook.onKernelEnd(() => {
      this.kernelEnded = true;
    });
    this.onMessage = (/** @type {unknown} */ content) =>
      receive(content, undefined, { place: (place) => this.take(place) });
    model.on("msg:custom", this.onMessage);
    // Best effort: lines that are open in a page keep the display live.
    this.onLeave = () => this.report("left");
    window.addEventListener("pagehide", this.onLeave);
    this.report("here", { writes: this.notebook.writable });
  }

  /** @type {(what: Report, fields?: object) => void} */
  report(what, fields) {
    sendToKernel(this.model, { do: what, page: PAGE_ID, ...fields });
  }

  /** @param {Place} place */
  take(place) {
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

  /** @type {(output: any, add: boolean) => void} */
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

  /** @type {(output: any, place: Place) => void} */
  showStatic(output, place) {
    const { place: number, data } = place;
    const found = this.notebook.find();
    const html = found && this.notebook.dataOf(found)["text/html"];
    if (html === data["text/html"] || (!found && this.superseded)) {
      this.report("arrived", { number, stands: true });
      return;
    }
    if (found) this.notebook.replace(found, output);
    else if (!place.add || !this.notebook.add(output)) return;
    // The kernel's own updates do not find it: it keeps the widget for a while.
    setTimeout(() => {
      if (this.last === place) this.showStatic(output, { ...place, add: false });
    }, COMPLETED_MS);
  }

  // Where the page cannot look, the output counts as still there.
  /** Reports that a view was removed. @param {string} view */
  viewRemoved(view) {
    setTimeout(() => {
      const found = !this.notebook.writable || Boolean(this.notebook.find());
      this.report("gone", { view, found });
    }, SETTLING_MS);
  }

  end() {
    this.model.off("msg:custom", this.onMessage);
    window.removeEventListener("pagehide", this.onLeave);
    this.notebook.end();
  }
}
