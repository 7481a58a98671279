// Small helpers for building elements. Data only ever becomes text nodes.

/**
 * The element with an id; a missing one is a fault of the page and throws.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no element #${id}`);
  return element;
}

/**
 * Builds an element.
 * @param {string} tag
 * @param {Object<string, *>} [props] attributes; `class`, `dataset` and `on<event>` are understood, null and false left out
 * @param {...(Node|string|null)} children strings become text nodes
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'dataset') Object.assign(element.dataset, value);
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * Builds an SVG element.
 * @param {string} tag
 * @param {Object<string, string|number>} [attributes]
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/**
 * Puts an entry at the top of a list and drops the oldest beyond the limit.
 * @param {HTMLElement} list
 * @param {HTMLElement} item
 * @param {number} limit
 */
export function prependBounded(list, item, limit) {
  list.prepend(item);
  while (list.children.length > limit) list.lastElementChild.remove();
}
