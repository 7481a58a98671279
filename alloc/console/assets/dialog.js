// The one dialog of the page: asks before something that others will feel.

import { byId } from './dom.js';
import { setText } from './i18n.js';

/**
 * Asks for confirmation.
 * @param {{title: string, text: string, yes: string, params?: Object<string, *>, field?: {label: string, hint: string}}} question
 *   message keys; with field a number can be entered
 * @returns {Promise<{number: number|null}|null>} null when it was cancelled
 */
export function confirmAction(question) {
  const dialog = /** @type {HTMLDialogElement} */ (byId('confirm'));
  const input = /** @type {HTMLInputElement} */ (byId('confirm-input'));
  dialog.onclose?.(); // that of the question before may still be on its way
  setText(byId('confirm-title'), question.title, question.params);
  setText(byId('confirm-text'), question.text, question.params);
  setText(byId('confirm-yes'), question.yes, question.params);
  byId('confirm-field').hidden = !question.field;
  input.value = '';
  input.disabled = !question.field; // a disabled field takes no part in validation
  if (question.field) {
    setText(byId('confirm-label'), question.field.label);
    setText(byId('confirm-hint'), question.field.hint);
  }
  dialog.returnValue = '';
  return new Promise((resolve) => {
    byId('confirm-no').onclick = () => dialog.close('');
    dialog.onclose = () => {
      if (!dialog.open) resolve(dialog.returnValue === 'yes' ? { number: Number(input.value) || null } : null);
    };
    dialog.showModal();
    byId('confirm-no').focus(); // Enter must not be the dangerous answer
  });
}
