/**
 * The messages between page and kernel: their types, and the checks of what the kernel
 * sends. page_messages.py is the kernel's side.
 */

/** @typedef {"show" | "open" | "close" | "renew" | "cancel" | "force" | "retry" | "pause"} Request */
/** @typedef {"here" | "left" | "gone" | "arrived" | "rerun"} Report */
/** @typedef {{ do: "cancel" | "force" | "", text: string, label: string }} Button */

// The trait `state`: counts for bars, seconds for clocks, all else in words. What each
// field means stands in page_messages.py.
/** @typedef {"total" | "resolved" | "ready" | "failed" | "cancelled" | "pending"} Ends */
/** @typedef {Record<Ends | "running" | "cancelling" | "elapsed_s" | "retry", number>} Counts */
/** @typedef {Record<"name" | "mark" | "sign" | "done" | "spoken" | "rate" | "left", string>} Words */
/** @typedef {Counts & Words & { notes: [string, string][], cancel: Button, force: boolean }} Line */
/** @typedef {{ running: boolean, paused: boolean, over: boolean, at: number }} Life */
/** @typedef {Life & { summary: string, spoken: string, cancel: Button, widths: number[], lines: Line[] }} State */
/** @typedef {{ state: State, place: { display: string, cell: string } }} Traits */

/**
 * A sample of each message: a value of the same type in every field. The first field
 * determines the kind: a line's name, a request's id or the number of a form.
 */
const SAMPLES = {
  // `start` voids what came before, `seq` counts from it; `nodes` and `errors` are new
  // texts in the order of their codes, and `now` is on the line's clock.
  refs: { refs: "", start: false, seq: 0, count: 0, now: 0, nodes: [""], errors: [""] },
  errors: {
    errors: "",
    groups: [{ kind: "", message: "", count: 0, short: "", full: "" }],
  },
  answer: { answer: "", said: "" },
  // The static form; `view` is the widget's, null at the end; `add` it if it is missing.
  place: {
    place: 0,
    data: /** @type {Record<string, string>} */ ({}),
    metadata: {},
    view: /** @type {Record<string, any> | null} */ (null),
    add: false,
  },
};

/** @typedef {typeof SAMPLES} Messages */
/** @typedef {Messages["refs"]} RefsMessage */
/** @typedef {Messages["errors"]["groups"][number]} ErrorGroup */
/** @typedef {Messages["place"]} Place */

/** @typedef {{ [K in keyof Messages]?: ((message: Messages[K], bytes?: DataView) => void) | undefined }} Handlers */

/** @type {(value: any, sample: any) => boolean} */
function isLike(value, sample) {
  if (Array.isArray(sample)) {
    return Array.isArray(value) && value.every((item) => isLike(item, sample[0]));
  }
  if (typeof value !== typeof sample) return false;
  if (value === null || sample === null) return sample === null;
  return Object.keys(sample).every((field) => isLike(value[field], sample[field]));
}

// Passes a message on to its handler, if there is one. What is unknown or malformed is
// ignored.
/** @type {(content: any, buffers: DataView[] | undefined, handlers: Handlers) => void} */
export function receive(content, buffers, handlers) {
  const kinds = /** @type {(keyof Messages)[]} */ (Object.keys(SAMPLES));
  const kind = kinds.find((name) => content && Object.hasOwn(content, name));
  if (!kind || !isLike(content, SAMPLES[kind])) {
    console.debug("ray_jupyter_async: ignored a message of the kernel", content);
    return;
  }
  handlers[kind]?.(content, buffers?.[0]);
}
