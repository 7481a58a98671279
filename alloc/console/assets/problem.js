// Shows a failed call as one readable line.

import { h } from './dom.js';
import { setText } from './i18n.js';

/**
 * Shows a failure in its place, or hides the place when there is none.
 * @param {HTMLElement} place an element with role="alert"
 * @param {Error|import('./api.js').ApiError|null} error
 */
export function showProblem(place, error) {
  place.hidden = !error;
  place.replaceChildren();
  if (!error) return;
  place.append(titleOf(error));
  if (error.detail) place.append(h('span', { class: 'problem-detail' }, error.detail));
  if (error.field) place.append(setText(h('span', { class: 'problem-field' }), 'problem.field', { field: error.field }));
  if (error.retryAfter) place.append(setText(h('span', {}), 'problem.retry', { seconds: error.retryAfter }));
  if (error.status) place.append(h('span', { class: 'problem-code' }, [error.status, error.code].filter(Boolean).join(' ')));
}

function titleOf(error) {
  const title = h('strong');
  if (error.code === 'network') return setText(title, 'problem.network');
  if (error.code === 'timeout') return setText(title, 'problem.timeout');
  title.textContent = error.title ?? error.message;
  return title;
}
