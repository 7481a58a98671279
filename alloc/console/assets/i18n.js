// The two languages of the page. An element that shows a message keeps its key
// (and parameters) in data attributes, so switching the language is one walk over
// the document and no part of the page has to draw itself again.

import en from './messages.en.js';
import zh from './messages.zh.js';

const dictionaries = { en, zh };
const storageKey = 'fanfare.language';
const attributes = ['title', 'aria-label', 'placeholder'];

/** Dispatches "change" after the language changed and the document was rewritten. */
export const languageEvents = new EventTarget();

let current = initialLanguage();

function initialLanguage() {
  const wanted = [stored(), ...(navigator.languages ?? [navigator.language])];
  for (const tag of wanted) {
    const language = String(tag ?? '').toLowerCase().split('-')[0];
    if (language in dictionaries) return language;
  }
  return 'en';
}

function stored() {
  try {
    return localStorage.getItem(storageKey);
  } catch {
    return null; // storage is off
  }
}

/**
 * The language in use.
 * @returns {'en'|'zh'}
 */
export function language() {
  return current;
}

/**
 * A parameter of a message that is a message itself.
 * @param {string} key
 * @param {Object<string, *>} [params]
 */
export function message(key, params) {
  return { key, params };
}

/**
 * The text of a message in the current language.
 * @param {string} key
 * @param {Object<string, *>} [params] values for the {names} in it; may be made by message()
 * @returns {string} the key itself when there is no such message
 */
export function t(key, params = {}) {
  const template = dictionaries[current][key] ?? key;
  return template.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = params[name];
    if (value === undefined || value === null) return whole;
    return typeof value === 'object' && value.key ? t(value.key, value.params) : String(value);
  });
}

/**
 * Whether a message exists, for keys that are put together from data.
 * @param {string} key
 * @returns {boolean}
 */
export function has(key) {
  return key in dictionaries[current];
}

/**
 * Shows a message in an element and keeps it right when the language changes.
 * @template {HTMLElement} E
 * @param {E} element
 * @param {string} key
 * @param {Object<string, *>} [params]
 * @returns {E}
 */
export function setText(element, key, params) {
  element.dataset.i18n = key;
  if (params) element.dataset.i18nParams = JSON.stringify(params);
  else delete element.dataset.i18nParams;
  const text = t(key, params);
  if (element.textContent !== text) element.textContent = text;
  return element;
}

/**
 * Shows plain data in an element that may have shown a message before.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function setData(element, text) {
  delete element.dataset.i18n;
  delete element.dataset.i18nParams;
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Sets a translated attribute (title, aria-label or placeholder).
 * @param {HTMLElement} element
 * @param {string} name
 * @param {string} key
 * @param {Object<string, *>} [params]
 */
export function setAttribute(element, name, key, params) {
  element.setAttribute(`data-i18n-${name}`, key);
  if (params) element.setAttribute(`data-i18n-${name}-params`, JSON.stringify(params));
  element.setAttribute(name, t(key, params));
}

/** Rewrites every message in the document in the current language. */
export function translate() {
  document.documentElement.lang = current === 'zh' ? 'zh-CN' : 'en';
  document.title = t('page.title');
  for (const element of document.querySelectorAll('[data-i18n]')) {
    element.textContent = t(element.dataset.i18n, JSON.parse(element.dataset.i18nParams ?? '{}'));
  }
  for (const name of attributes) {
    for (const element of document.querySelectorAll(`[data-i18n-${name}]`)) {
      const params = JSON.parse(element.getAttribute(`data-i18n-${name}-params`) ?? '{}');
      element.setAttribute(name, t(element.getAttribute(`data-i18n-${name}`), params));
    }
  }
}

/**
 * Changes the language and remembers it.
 * @param {'en'|'zh'} next
 */
export function setLanguage(next) {
  current = next in dictionaries ? next : 'en';
  try {
    localStorage.setItem(storageKey, current);
  } catch {
    // Storage is off: the choice lasts as long as the page.
  }
  translate();
  languageEvents.dispatchEvent(new Event('change'));
}
