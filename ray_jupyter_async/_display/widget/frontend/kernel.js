/**
 * What a view asks of the kernel, what comes back, and whether the kernel is there.
 *
 * The kernel answers every request. One that is not answered soon waits for the end of
 * a cell: ipykernel before 7.0 has one thread for both.
 */

import { PAGE_ID } from "./elements.js";
import { receive } from "./messages.js";

/** @typedef {{ send: (content: unknown) => void }} Sender */
/** @typedef {import("./messages.js").Handlers} Handlers */
/** @typedef {import("./messages.js").Request} Request */

const PATIENCE_MS = 1500;
const NO_BYTES = "This front end passes no bytes on: timeline and refs stay empty";
const LATE = "The kernel will answer when its running cell ends";

/** An open line holds the display live for as long as its view renews it. */
const RENEW_MS = 20_000;

/** While something runs, the kernel sends a state each second. */
const SILENT_MS = 12_000;

/** The class that ipywidgets gives to views whose kernel was restarted. */
const DISCONNECTED = ".jupyter-widgets-disconnected";

/** @type {(model: Sender, content: object) => void} */
export function sendToKernel(model, content) {
  try {
    model.send(content);
  } catch (error) {
    // The comm of a kernel that was restarted throws.
    console.debug("ray_jupyter_async: not sent", error);
  }
}

export class KernelLink {
  view = `${PAGE_ID}-${Math.random().toString(36).slice(2, 6)}`;
  requests = 0;
  heardAt = performance.now();
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */
  unanswered = new Map();
  /** @type {Set<string>} */
  open = new Set();

  /** @param {Sender} model @param {Handlers} handlers @param {(words: string) => void} say */
  constructor(model, { refs, errors }, say) {
    this.model = model;
    this.say = say;
    /** @type {Handlers} */
    this.handlers = {
      refs: (message, bytes) => {
        if (!this.open.has(message.refs)) return;
        // Colab's widgets have lost them (googlecolab/colab-cdn-widget-manager#8).
        if (bytes) refs?.(message, bytes);
        else say(NO_BYTES);
      },
      errors,
      answer: ({ answer, said }) => {
        if (!this.unanswered.has(answer)) return; // another view's
        clearTimeout(this.unanswered.get(answer));
        this.unanswered.delete(answer);
        say(said);
      },
    };
    this.send("show", "");
    this.renewal = setInterval(() => {
      if (this.open.size) this.ask("renew");
    }, RENEW_MS);
  }

  /** @type {(what: Request, fields?: { line?: string, refs?: number[], on?: boolean }) => void} */
  ask(what, fields) {
    this.requests += 1;
    const request = `${this.view}-${this.requests}`;
    const timer = setTimeout(() => this.say(LATE), PATIENCE_MS);
    this.unanswered.set(request, timer);
    this.send(what, request, fields);
  }

  // Without a request's id there is no answer.
  /** @type {(what: Request, request: string, fields?: object) => void} */
  send(what, request, fields) {
    sendToKernel(this.model, { do: what, request, view: this.view, ...fields });
  }

  /** @param {string} line */
  openLine(line) {
    this.open.add(line);
    this.ask("open", { line });
  }

  /** @param {string} line */
  closeLine(line) {
    this.open.delete(line);
    this.ask("close", { line });
  }

  /** @type {(content: unknown, buffers: DataView[] | undefined) => void} */
  receive(content, buffers) {
    this.heardAt = performance.now();
    receive(content, buffers, this.handlers);
  }

  // The element is in the page; without a kernel it shows the last state seen.
  /** @type {(state: import("./messages.js").Life, element: Element, ended?: boolean) => string} */
  whyLost({ running, paused, over, at }, element, ended) {
    const time = new Date(at * 1000).toLocaleTimeString("en-GB");
    const silent = performance.now() - this.heardAt > SILENT_MS;
    let why = "";
    if (over) return why;
    if (ended || element.closest(DISCONNECTED))
      why = "The kernel was restarted or has ended.";
    else if (running && !paused && silent) why = "The kernel does not answer.";
    return why && `${why} This is the last state seen, from ${time}.`;
  }

  end() {
    clearInterval(this.renewal);
    for (const timer of this.unanswered.values()) clearTimeout(timer);
    for (const line of this.open) this.send("close", "", { line });
  }
}
