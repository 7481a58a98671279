// How numbers, durations and times are written. The forms are the same in both
// languages, so nothing here has to be rewritten when the language changes.

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/**
 * A count or rate in a few characters: 0, 0.25, 9.5, 12,345, 1.2M.
 * @param {number|null|undefined} value
 * @returns {string} "–" when there is no number
 */
export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 1e9) return `${trim(value / 1e9, 1)}G`;
  if (size >= 1e6) return `${trim(value / 1e6, 1)}M`;
  if (size >= 100 || Number.isInteger(value)) return grouped.format(value);
  return trim(value, size >= 10 ? 1 : 2);
}

/**
 * A duration given in milliseconds: 180 µs, 1.25 ms, 340 ms, 2.5 s, 3 min.
 * @param {number|null|undefined} ms
 * @returns {string} "–" when there is no number
 */
export function duration(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return '–';
  const size = Math.abs(ms);
  if (size === 0) return '0 ms';
  if (size < 1) return `${trim(ms * 1000, size < 0.01 ? 1 : 0)} µs`;
  if (size < 1000) return `${trim(ms, size < 10 ? 2 : size < 100 ? 1 : 0)} ms`;
  if (size < 120_000) return `${trim(ms / 1000, 1)} s`;
  return `${trim(ms / 60_000, 0)} min`;
}

function trim(value, digits) {
  return String(Number(value.toFixed(digits)));
}

function two(value) {
  return String(value).padStart(2, '0');
}

/**
 * The local time of day.
 * @param {number} ms since the epoch
 * @param {boolean} [millis] with milliseconds
 * @returns {string} 15:04:05 or 15:04:05.123
 */
export function clock(ms, millis = false) {
  const d = new Date(ms);
  const text = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return millis ? `${text}.${String(d.getMilliseconds()).padStart(3, '0')}` : text;
}

/**
 * The local date and time, without the date when it is today's.
 * @param {number} ms since the epoch
 * @returns {string} 15:04:05 or 2006-01-02 15:04:05
 */
export function dateTime(ms) {
  if (!Number.isFinite(ms)) return '–';
  const d = new Date(ms);
  if (d.toDateString() === new Date().toDateString()) return clock(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clock(ms)}`;
}

/**
 * Reads a time of the API. Date.parse stops at milliseconds, and the stages of a
 * local push are microseconds apart, so the fraction is read by hand.
 * @param {string|number} value RFC 3339 text, or milliseconds since the epoch
 * @returns {number} milliseconds since the epoch with a fraction; NaN if it is no time
 */
export function parseTime(value) {
  if (typeof value === 'number') return value;
  const parts = /^(.*:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$/.exec(value ?? '');
  if (!parts) return NaN;
  return Date.parse(parts[1] + parts[3]) + Number(parts[2] ?? 0) * 1000;
}
