/**
 * Numbers and states in words. No element is made here.
 */

/**
 * What a ref's state is called and which colour and sign it has, by the codes of
 * `RefState` in _tracking/snapshots.py.
 *
 * @type {readonly { name: string, kind: Kind, sign: string }[]}
 */
export const REF_STATES = [
  { name: "needs arguments", kind: "pending", sign: "◌" },
  { name: "pending", kind: "pending", sign: "◌" },
  { name: "running", kind: "running", sign: "▸" },
  { name: "ready", kind: "resolved", sign: "✓" },
  { name: "resolved", kind: "resolved", sign: "✓" },
  { name: "failed", kind: "failed", sign: "✕" },
  { name: "cancelling", kind: "cancelled", sign: "◍" },
  { name: "cancelled", kind: "cancelled", sign: "⊘" },
  { name: "released", kind: "pending", sign: "–" },
  { name: "outcome unknown", kind: "pending", sign: "?" },
];

/** @typedef {"pending" | "running" | "resolved" | "failed" | "cancelled"} Kind */

export const RUNNING = 2;
export const FAILED = 5;
export const CANCELLING = 6;

/** @param {number} state */
export function refState(state) {
  return REF_STATES[state] ?? { name: "unknown", kind: "pending", sign: "?" };
}

/**
 * Tells whether a ref in this state can still be cancelled.
 *
 * @param {number} state
 */
export function isUnsettled(state) {
  return state <= RUNNING || state === CANCELLING;
}

const numbers = new Intl.NumberFormat("en-US");

/** @param {number} count */
export function grouped(count) {
  return numbers.format(count);
}

/**
 * @param {number} count
 * @param {string} what In the singular; its plural has an s.
 */
export function counted(count, what) {
  return `${grouped(count)} ${what}${count === 1 ? "" : "s"}`;
}

/**
 * The twin of `format_elapsed` in progress_words.py.
 *
 * @param {number} seconds
 */
export function formatElapsed(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/**
 * A guessed duration: no more of it than is known.
 *
 * @param {number} seconds
 */
export function formatGuess(seconds) {
  if (seconds < 59.5) return `~${Math.round(seconds)} s`;
  const minutes = seconds / 60;
  if (minutes < 59.5) return `~${Math.round(minutes)} min`;
  return `~${(minutes / 60).toFixed(1)} h`;
}

/**
 * A duration of one task, which may be far below a second.
 *
 * @param {number} seconds
 */
export function formatDuration(seconds) {
  if (Number.isNaN(seconds)) return "";
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  return seconds < 9.95 ? `${seconds.toFixed(2)} s` : formatElapsed(seconds);
}

/** @param {number} perSecond */
export function formatRate(perSecond) {
  if (perSecond >= 10) return `${grouped(Math.round(perSecond))}/s`;
  if (perSecond >= 0.1) return `${perSecond.toFixed(1)}/s`;
  return `${(perSecond * 60).toFixed(1)}/min`;
}

/** @param {number} bytes */
export function formatSize(bytes) {
  if (Number.isNaN(bytes)) return "";
  let value = bytes;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 999.5) {
      return `${value < 9.95 && unit !== "B" ? value.toFixed(1) : Math.round(value)} ${unit}`;
    }
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}
