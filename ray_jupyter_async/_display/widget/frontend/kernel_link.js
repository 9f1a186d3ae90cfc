/**
 * What the widget says to the kernel, and what comes back.
 *
 * Every request is answered by the kernel. One that is not answered soon waits for
 * the end of a cell: ipykernel before 7.0 has one thread for both.
 */

import { viewId } from "./elements.js";
import { sendToKernel } from "./kernel_life.js";

/** @typedef {import("./ref_columns.js").RefsMessage} RefsMessage */

/**
 * @typedef {object} ErrorGroup
 * @property {string} kind
 * @property {string} message
 * @property {number} count
 * @property {string} short
 * @property {string} full
 */

/**
 * @typedef {object} ErrorsMessage
 * @property {string} errors The line's name.
 * @property {ErrorGroup[]} groups
 */

/**
 * @typedef {object} Answer
 * @property {string} answer The request's number.
 * @property {string} said For people; "" when there is nothing to say.
 */

/** @typedef {RefsMessage | ErrorsMessage | Answer} FromKernel */

/**
 * @typedef {object} Listener
 * @property {(message: RefsMessage, bytes: DataView) => void} refs
 * @property {(message: ErrorsMessage) => void} errors
 * @property {(said: string) => void} said
 */

/** @typedef {"show" | "open" | "close" | "renew" | "cancel" | "force" | "retry" | "pause"} Request */

const PATIENCE_MS = 1500;
const NO_BYTES = "This front end passes no bytes on: timeline and refs stay empty";
const LATE = "The kernel will answer when its running cell ends";

/** An open line is looked after in the kernel for as long as somebody says so. */
const RENEW_MS = 20_000;

export class KernelLink {
  /**
   * @param {{ send: (content: unknown) => void }} model
   * @param {Listener} listener
   */
  constructor(model, listener) {
    this.model = model;
    this.listener = listener;
    this.requests = 0;
    /** @type {Map<string, ReturnType<typeof setTimeout>>} */
    this.unanswered = new Map();
    /** @type {Set<string>} */
    this.open = new Set();
    this.view = `${viewId()}-${Math.random().toString(36).slice(2, 6)}`;
    this.tell("show");
    this.renewal = setInterval(() => {
      if (this.open.size) this.ask("renew");
    }, RENEW_MS);
  }

  /**
   * @param {Request} what
   * @param {{ line?: string, refs?: number[], on?: boolean }} [fields]
   */
  ask(what, fields = {}) {
    this.requests += 1;
    const request = `${this.view}-${this.requests}`;
    this.unanswered.set(
      request,
      setTimeout(() => this.listener.said(LATE), PATIENCE_MS),
    );
    sendToKernel(this.model, { do: what, request, view: this.view, ...fields });
  }

  /**
   * What needs no answer.
   *
   * @param {Request} what
   * @param {string} [line]
   */
  tell(what, line) {
    const fields = line === undefined ? {} : { line };
    sendToKernel(this.model, { do: what, request: "", view: this.view, ...fields });
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

  /**
   * @param {FromKernel} message
   * @param {DataView[] | undefined} buffers
   */
  receive(message, buffers) {
    if ("refs" in message) {
      if (!this.open.has(message.refs)) return;
      // Colab's widgets have lost them (googlecolab/colab-cdn-widget-manager#8).
      const [bytes] = buffers ?? [];
      if (bytes) this.listener.refs(message, bytes);
      else this.listener.said(NO_BYTES);
    } else if ("errors" in message) {
      this.listener.errors(message);
    } else if ("answer" in message) {
      const timer = this.unanswered.get(message.answer);
      if (timer === undefined) return; // another view's
      clearTimeout(timer);
      this.unanswered.delete(message.answer);
      this.listener.said(message.said);
    }
  }

  end() {
    clearInterval(this.renewal);
    for (const timer of this.unanswered.values()) clearTimeout(timer);
    this.unanswered.clear();
    for (const line of this.open) {
      this.tell("close", line);
    }
    this.open.clear();
  }
}
