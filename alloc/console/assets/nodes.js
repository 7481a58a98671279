// The nodes of the cluster: table, drain, and who came and went.

import { confirmAction } from './dialog.js';
import { byId, h, prependBounded } from './dom.js';
import { clock, dateTime, number, parseTime } from './format.js';
import { message, setAttribute, setText } from './i18n.js';
import { showProblem } from './problem.js';

const keep = 50; // log entries
const refreshMs = 5_000;
const addresses = ['device', 'websocket', 'gateway', 'ops'];

/** The panel. Dispatches "nodes" with the list as detail whenever one arrives. */
export class NodesPanel extends EventTarget {
  /** @param {import('./api.js').Api} api */
  constructor(api) {
    super();
    this.api = api;
    this.known = null; // state by id; null until the first list
    setInterval(() => this.refresh(), refreshMs);
  }

  /** Asks for the list, for the counts that change without an event. */
  async refresh() {
    if (document.hidden || !this.known) return; // the event stream brings the first list
    try {
      this.set((await this.api.nodes()).nodes ?? []);
    } catch (error) {
      showProblem(byId('nodes-problem'), error);
    }
  }

  /** Shows a list. @param {Object[]} nodes */
  set(nodes) {
    showProblem(byId('nodes-problem'), null);
    byId('nodes-count').textContent = String(nodes.length);
    byId('nodes-empty').hidden = nodes.length > 0;
    this.showRows(nodes);
    this.logChanges(nodes);
    this.dispatchEvent(new CustomEvent('nodes', { detail: nodes }));
  }

  // showRows replaces only rows that changed, so a button keeps the focus.
  showRows(nodes) {
    const body = byId('nodes-body');
    const before = new Map([...body.children].map((tr) => [tr.dataset.id, tr]));
    body.append(...nodes.map((node) => {
      const old = before.get(node.id);
      before.delete(node.id);
      const stamp = JSON.stringify(node);
      return old?.dataset.stamp === stamp ? old : this.row(node, stamp, old);
    }));
    before.forEach((tr) => tr.remove());
  }

  row(node, stamp, old) {
    const focused = old?.contains(document.activeElement);
    const drain = this.drainButton(node);
    const tr = h('tr', { dataset: { id: node.id, state: node.state, stamp, testid: 'node-row' } },
      cell('nodes.id', nameOf(node)),
      cell('nodes.state', setText(h('span', { class: 'pill', dataset: { state: node.state } }), `nodes.state.${node.state}`)),
      cell('nodes.weight', number(node.weight), 'num'),
      cell('nodes.connections', number(node.connections), 'num'), cell('nodes.users', number(node.users), 'num'),
      cell('nodes.version', node.version || '–'), cell('nodes.since', dateTime(parseTime(node.since)), 'nowrap'),
      cell('nodes.addresses', addressList(node)), h('td', { class: 'row-action' }, drain));
    old?.remove();
    if (focused) queueMicrotask(() => drain.focus());
    return tr;
  }

  drainButton(node) {
    const button = setText(h('button', { type: 'button', class: 'small', dataset: { testid: 'node-drain' }, disabled: node.state !== 'serving' || node.java,
      onclick: () => this.drain(node.id) }), 'nodes.drain');
    setAttribute(button, 'aria-label', 'nodes.drain.of', { id: node.id });
    if (node.java) setAttribute(button, 'title', 'nodes.java.drain');
    return button;
  }

  async drain(id) {
    const answer = await confirmAction({ title: 'nodes.drain.title', text: 'nodes.drain.text', yes: 'nodes.drain', params: { id },
      field: { label: 'nodes.drain.rate', hint: 'nodes.drain.rate.hint' } });
    if (!answer) return;
    try {
      await this.api.drain(id, answer.number);
      showProblem(byId('nodes-problem'), null);
      this.log('info', 'nodes.log.asked', { id });
      await this.refresh();
    } catch (error) {
      showProblem(byId('nodes-problem'), error);
    }
  }

  logChanges(nodes) {
    const now = new Map(nodes.map((node) => [node.id, node.state]));
    for (const [id, state] of now) {
      const before = this.known?.get(id);
      const params = { id, state: message(`nodes.state.${state}`) };
      if (!before) this.log(level(state), this.known ? 'nodes.log.came' : 'nodes.log.found', params);
      else if (before !== state) this.log(level(state), 'nodes.log.changed', { ...params, before: message(`nodes.state.${before}`) });
    }
    for (const id of this.known?.keys() ?? []) {
      if (!now.has(id)) this.log('error', 'nodes.log.left', { id });
    }
    this.known = now;
  }

  log(severity, key, params) {
    prependBounded(byId('nodes-log'), h('li', { class: `notice ${severity}`, dataset: { testid: 'node-event' } },
      h('time', {}, clock(Date.now())), setText(h('span'), key, params)), keep);
  }
}

// nameOf marks MPush nodes: they are here for as long as a cluster is being replaced.
function nameOf(node) {
  const name = h('strong', { class: 'mono' }, node.id);
  if (!node.java) return name;
  const mark = setText(h('span', { class: 'tag', dataset: { testid: 'node-java' } }), 'nodes.java');
  setAttribute(mark, 'title', 'nodes.java.hint');
  return h('span', { class: 'node-name' }, name, mark);
}

function level(state) {
  return { serving: 'good', draining: 'warn', lost: 'error' }[state] ?? 'info';
}

/**
 * A table cell that carries its column's name for narrow screens.
 * @param {string} key message key of the column
 * @param {Node|string} content
 * @param {string} [kind] class
 */
export function cell(key, content, kind = null) {
  return h('td', { class: kind }, setText(h('span', { class: 'cell-label', 'aria-hidden': 'true' }), key), h('span', { class: 'cell-value' }, content));
}

function addressList(node) {
  const list = h('span', { class: 'addresses' });
  for (const kind of addresses) {
    if (node[kind]) list.append(h('span', { class: 'address' }, setText(h('span', { class: 'hint' }), `nodes.address.${kind}`), h('code', {}, node[kind])));
  }
  return list;
}
