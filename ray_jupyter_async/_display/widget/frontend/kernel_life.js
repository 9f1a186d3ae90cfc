/**
 * Whether the kernel behind a view is still there. Where it is not, what is shown is
 * the last state seen.
 */

/** While something runs, the kernel sends a state each second. */
const SILENT_MS = 12_000;

/** The class that ipywidgets gives to views whose kernel was restarted. */
const DISCONNECTED = ".jupyter-widgets-disconnected";

/**
 * Sends the kernel something, if there is one: the comm of a kernel that was restarted
 * throws.
 *
 * @param {{ send: (content: unknown) => void }} model
 * @param {object} content
 */
export function sendToKernel(model, content) {
  try {
    model.send(content);
  } catch (error) {
    console.debug("ray_jupyter_async: not sent", error);
  }
}

export class KernelLife {
  /**
   * @param {HTMLElement} element The view's.
   * @param {{ kernelEnded: boolean } | undefined} notebook What its notebook reports.
   */
  constructor(element, notebook) {
    this.element = element;
    this.notebook = notebook;
    this.heard();
  }

  /** Notes that the kernel has sent something. */
  heard() {
    this.heardAt = performance.now();
  }

  /**
   * What to say of a kernel that is not there; "" while it is.
   *
   * @param {{ running: boolean, paused: boolean, over: boolean, at: number }} state
   */
  lost({ running, paused, over, at }) {
    if (over) return "";
    const seen = `This is the last state seen, from ${new Date(at * 1000).toLocaleTimeString("en-GB")}.`;
    if (this.notebook?.kernelEnded || this.element.closest(DISCONNECTED)) {
      return `The kernel was restarted or has ended. ${seen}`;
    }
    const silent = performance.now() - (this.heardAt ?? 0) > SILENT_MS;
    return running && !paused && silent ? `The kernel does not answer. ${seen}` : "";
  }
}
