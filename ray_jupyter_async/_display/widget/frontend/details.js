/** What an open line shows: its timeline, its refs and its errors, a tab each. */

import { make, named, setAttribute, setText, uniqueId } from "./elements.js";
import { Errors } from "./errors.js";
import { RefColumns } from "./ref_columns.js";
import { RefTable } from "./table.js";
import { Timeline } from "./timeline.js";
import { grouped } from "./words.js";

/** @typedef {import("./kernel.js").KernelLink} KernelLink */

export class Details {
  id = uniqueId();
  refs = new RefColumns();
  chosen = 0;
  /** @type {HTMLButtonElement[]} */
  tabs = [];

  /** @param {string} name The line's. @param {KernelLink} link @param {(said: string) => void} say */
  constructor(name, link, say) {
    this.name = name;
    this.link = link;
    this.timeline = new Timeline(this.refs, name);
    this.table = new RefTable(this.refs, name, (refs, force) =>
      link.ask(force ? "force" : "cancel", { line: name, refs }),
    );
    this.errors = new Errors(say);
    const label = `Details of ${name}`;
    this.list = make("div", "rja-tabs", named("tablist", label));
    this.list.addEventListener("keydown", (event) => this.move(event));
    const group = named("group", label, { id: this.id });
    this.root = make("div", "rja-details", group, this.list);
    this.tabs = [
      this.makeTab("Timeline", this.timeline),
      this.makeTab("Refs", this.table),
      this.makeTab("Errors", this.errors),
    ];
    this.choose(0);
    link.openLine(name);
  }

  /** @type {(name: string, content: { root: HTMLElement }) => HTMLButtonElement} */
  makeTab(name, { root }) {
    const id = uniqueId();
    const panel = make("div", "rja-panel", { role: "tabpanel", id }, root);
    const tab = make("button", "rja-tab", { type: "button", role: "tab" }, name);
    tab.id = uniqueId();
    tab.setAttribute("aria-controls", id);
    panel.setAttribute("aria-labelledby", tab.id);
    tab.addEventListener("click", () => this.choose(this.tabs.indexOf(tab)));
    this.list.append(tab);
    this.root.append(panel);
    return tab;
  }

  /** @param {number} chosen */
  choose(chosen) {
    this.chosen = chosen;
    this.tabs.forEach((tab, i) => {
      setAttribute(tab, "aria-selected", String(i === chosen));
      tab.tabIndex = i === chosen ? 0 : -1;
      const panel = this.root.children[i + 1];
      if (panel instanceof HTMLElement) panel.hidden = i !== chosen;
    });
    this.timeline.setShown(chosen === 0);
    this.table.setShown(chosen === 1);
  }

  /** @param {KeyboardEvent} event */
  move(event) {
    const last = this.tabs.length - 1;
    const { chosen } = this;
    const next = {
      ArrowLeft: chosen > 0 ? chosen - 1 : last,
      ArrowRight: chosen < last ? chosen + 1 : 0,
      Home: 0,
      End: last,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.choose(next);
    this.tabs[next]?.focus();
  }

  /** @param {import("./messages.js").Line} line */
  show({ force, failed }) {
    this.table.force = force;
    const [, , errors] = this.tabs;
    if (errors) setText(errors, failed ? `Errors (${grouped(failed)})` : "Errors");
    this.refresh();
  }

  /** @type {(message: import("./messages.js").RefsMessage, bytes: DataView) => void} */
  takeRefs(message, bytes) {
    // What is under way knows slots that are void now.
    if (message.start) {
      this.timeline.work.stop();
      this.table.work.stop();
    }
    if (!this.refs.take(message, bytes)) this.link.openLine(this.name);
  }

  /** Draws what has changed. */
  refresh() {
    this.timeline.refresh();
    this.table.refresh();
  }

  end() {
    this.link.closeLine(this.name);
    this.timeline.end();
    this.table.end();
    this.root.remove();
  }
}
