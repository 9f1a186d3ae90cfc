/**
 * What an open line shows: its refs, its timeline and its errors, a tab each.
 */

import { make, setAttribute, setText, uniqueId } from "./elements.js";
import { Errors } from "./errors.js";
import { RefColumns } from "./ref_columns.js";
import { RefTable } from "./table.js";
import { Timeline } from "./timeline.js";
import { grouped } from "./words.js";

/** @typedef {import("./kernel_link.js").KernelLink} KernelLink */
/** @typedef {import("./kernel_link.js").RefsMessage} RefsMessage */
/** @typedef {import("./kernel_link.js").ErrorsMessage} ErrorsMessage */
/** @typedef {import("./line.js").Line} Line */

/** @typedef {{ tab: HTMLButtonElement, panel: HTMLElement, name: string }} Tab */

export class Details {
  /**
   * @param {string} name The line's.
   * @param {KernelLink} link
   * @param {(said: string) => void} say
   */
  constructor(name, link, say) {
    this.name = name;
    this.link = link;
    this.refs = new RefColumns();
    this.timeline = new Timeline(this.refs, name);
    this.table = new RefTable(this.refs, name, (refs, force) => {
      link.ask(force ? "force" : "cancel", { line: name, refs });
    });
    this.errors = new Errors(say);
    this.id = uniqueId();
    this.root = make("div", "rja-details", { id: this.id, role: "group" });
    this.root.setAttribute("aria-label", `Details of ${name}`);
    this.list = make("div", "rja-tabs", { role: "tablist" });
    this.list.setAttribute("aria-label", `Details of ${name}`);
    this.list.addEventListener("keydown", (event) => this.move(event));
    this.root.append(this.list);
    /** @type {Tab[]} */
    this.tabs = [];
    this.timelineTab = this.addTab("Timeline", this.timeline.root);
    this.tableTab = this.addTab("Refs", this.table.root);
    this.errorsTab = this.addTab("Errors", this.errors.root);
    this.selected = this.timelineTab;
    this.choose(this.timelineTab);
    link.openLine(name);
  }

  /**
   * @param {string} name
   * @param {HTMLElement} content
   * @returns {Tab}
   */
  addTab(name, content) {
    const tab = make("button", "rja-tab", {
      type: "button",
      role: "tab",
      id: uniqueId(),
    });
    const panel = make("div", "rja-panel", { role: "tabpanel", id: uniqueId() });
    tab.textContent = name;
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("aria-labelledby", tab.id);
    panel.append(content);
    this.list.append(tab);
    this.root.append(panel);
    const made = { tab, panel, name };
    tab.addEventListener("click", () => this.choose(made));
    this.tabs.push(made);
    return made;
  }

  /** @param {Tab} chosen */
  choose(chosen) {
    this.selected = chosen;
    for (const other of this.tabs) {
      const selected = other === chosen;
      setAttribute(other.tab, "aria-selected", String(selected));
      other.tab.tabIndex = selected ? 0 : -1;
      other.panel.hidden = !selected;
    }
    this.timeline.setShown(chosen === this.timelineTab);
    this.table.setShown(chosen === this.tableTab);
  }

  /** @param {KeyboardEvent} event */
  move(event) {
    const count = this.tabs.length;
    const here = this.tabs.indexOf(this.selected);
    /** @type {Record<string, number>} */
    const places = {
      ArrowLeft: (here + count - 1) % count,
      ArrowRight: (here + 1) % count,
      Home: 0,
      End: count - 1,
    };
    const next = this.tabs[places[event.key] ?? -1];
    if (!next) return;
    event.preventDefault();
    this.choose(next);
    next.tab.focus();
  }

  /** @param {Line} line */
  show(line) {
    this.table.force = line.force;
    setText(
      this.errorsTab.tab,
      line.failed ? `Errors (${grouped(line.failed)})` : "Errors",
    );
    this.refresh();
  }

  /**
   * @param {RefsMessage} message
   * @param {DataView} bytes
   */
  takeRefs(message, bytes) {
    if (!this.refs.take(message, bytes)) this.link.openLine(this.name);
  }

  /** @param {ErrorsMessage} message */
  takeErrors({ groups }) {
    this.errors.show(groups);
  }

  /** Looks whether there is something new to draw. */
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
