/**
 * Loads the front end once for all displays of a page. bundle.py is the kernel's side.
 *
 * This is all that every display carries. The rest comes with the displays of a kernel
 * until one of its pages has it; a page that does not have it yet asks for it.
 */

/** @typedef {import("@anywidget/types").AnyWidget} Widget */
/** @typedef {{ name: string, code?: string, styles?: string }} FrontEnd */
/** @typedef {{ front_end: FrontEnd }} Loaded */
/** @typedef {import("@anywidget/types").AnyModel<Loaded>} Model */

const KEY = Symbol.for("ray_jupyter_async.frontEnds");

/** @type {any} */
const page = globalThis;
page[KEY] ??= new Map();

/** Of this page, by name. @type {Map<string, Promise<() => any>>} */
const frontEnds = page[KEY];

/** @type {(frontEnd: FrontEnd) => Promise<() => any>} */
async function evaluate({ code, styles }) {
  const blob = new Blob([code ?? ""], { type: "text/javascript" });
  const url = URL.createObjectURL(blob);
  try {
    const { default: widget } = await import(url);
    const sheet = document.createElement("style");
    sheet.textContent = styles ?? "";
    document.head.append(sheet);
    return widget;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** @type {(model: Model) => Promise<() => any> | undefined} */
function known(model) {
  const frontEnd = model.get("front_end");
  if (!frontEnds.has(frontEnd.name) && frontEnd.code) {
    const loading = evaluate(frontEnd);
    frontEnds.set(frontEnd.name, loading);
    loading.catch(() => frontEnds.delete(frontEnd.name));
  }
  return frontEnds.get(frontEnd.name);
}

/** @type {(model: Model) => Promise<() => any>} */
function load(model) {
  const here = known(model);
  if (here) return here;
  return new Promise((resolve) => {
    const look = () => {
      const found = known(model);
      if (!found) return;
      model.off("change:front_end", look);
      resolve(found);
    };
    model.on("change:front_end", look);
    try {
      model.send({ do: "load" });
    } catch (error) {
      // The comm of a kernel that was restarted throws.
      console.debug("ray_jupyter_async: not sent", error);
    }
  });
}

/** Called once for each model. @returns {Widget} */
export default function loader() {
  /** @type {any} */
  let widget;
  return {
    async initialize(props) {
      const make = await load(/** @type {any} */ (props.model));
      widget = make();
      return widget.initialize(props);
    },
    render: (props) => widget.render(props),
  };
}
