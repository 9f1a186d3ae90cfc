/**
 * States and numbers in words, as far as a page must word them by itself: all else
 * comes from words.py. tests/words.json holds the cases that both must pass.
 */

/** @typedef {"pending" | "running" | "resolved" | "failed" | "cancelled"} Kind */

// By the codes of `RefState`; the kind is for the colour.
/** @type {readonly { text: string, kind: Kind }[]} */
export const REF_STATES = [
  { text: "◌ needs arguments", kind: "pending" },
  { text: "◌ pending", kind: "pending" },
  { text: "▸ running", kind: "running" },
  { text: "✓ ready", kind: "resolved" },
  { text: "✓ resolved", kind: "resolved" },
  { text: "✕ failed", kind: "failed" },
  { text: "◍ cancelling", kind: "cancelled" },
  { text: "⊘ cancelled", kind: "cancelled" },
  { text: "– released", kind: "pending" },
  { text: "? outcome unknown", kind: "pending" },
];

export const RUNNING = 2;
export const FAILED = 5;
export const CANCELLING = 6;

/** @param {number} state */
export function refState(state) {
  return REF_STATES[state] ?? { text: "? unknown", kind: "pending" };
}

const numbers = new Intl.NumberFormat("en-US");

/** @param {number} count */
export function grouped(count) {
  return numbers.format(count);
}

/** @type {(count: number, what: string) => string} */
export function counted(count, what) {
  return `${grouped(count)} ${what}${count === 1 ? "" : "s"}`;
}

/** A duration of a line, as `format_elapsed`. @param {number} seconds */
export function formatElapsed(seconds) {
  if (seconds < 9.95) return `${(Math.round(seconds * 10) / 10).toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Seconds since a line's first await. @param {number} seconds */
export function formatMoment(seconds) {
  return Number.isNaN(seconds) ? "" : `${seconds.toFixed(2)} s`;
}

/** A duration of a task, perhaps far below a second. @param {number} seconds */
export function formatDuration(seconds) {
  if (Number.isNaN(seconds)) return "";
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  return seconds < 9.95 ? `${seconds.toFixed(2)} s` : formatElapsed(seconds);
}

/** @param {number} bytes */
export function formatSize(bytes) {
  if (Number.isNaN(bytes)) return "";
  let value = bytes;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    const digits = value < 9.95 && unit !== "B" ? 1 : 0;
    if (value < 999.5) return `${value.toFixed(digits)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}
