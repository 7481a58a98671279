// A broadcast while it runs: what each node did so far, and the way to stop it.

import { confirmAction } from './dialog.js';
import { byId, h } from './dom.js';
import { setText } from './i18n.js';
import { badge, counts } from './message.js';
import { showProblem } from './problem.js';

/** What the panel shows of a message that is a broadcast. */
export class BroadcastView {
  /** @param {import('./api.js').Api} api */
  constructor(api) {
    this.api = api;
    this.id = ''; // of the broadcast on show
    this.asked = ''; // id of the one that was asked to stop
    byId('message-cancel').addEventListener('click', () => this.cancel());
  }

  /** Shows what GET /api/v1/messages/{id} said. @param {Object} snapshot */
  show(snapshot) {
    this.id = snapshot.id;
    const running = Boolean(snapshot.broadcast) && snapshot.outcome === 'pending';
    this.showButton(running, this.asked === snapshot.id);
    byId('message-nodes').replaceChildren(...(snapshot.nodes ?? []).map((node) => nodeItem(node)));
  }

  showButton(running, asked) {
    const button = /** @type {HTMLButtonElement} */ (byId('message-cancel'));
    button.hidden = !running;
    button.disabled = asked;
    setText(button, asked ? 'broadcast.cancelling' : 'broadcast.cancel');
  }

  async cancel() {
    const id = this.id;
    if (!(await confirmAction({ title: 'broadcast.cancel.title', text: 'broadcast.cancel.text', yes: 'broadcast.cancel', params: { id } }))) return;
    try {
      this.asked = id;
      await this.api.cancel(id);
      if (this.id === id && !byId('message-cancel').hidden) this.showButton(true, true);
    } catch (error) {
      this.asked = '';
      if (error.code !== 'not_running') showProblem(byId('push-problem'), error); // it ended meanwhile, which is shown
    }
  }
}

function nodeItem(node) {
  return h('li', { dataset: { node: node.node, outcome: node.outcome, testid: 'message-node' } },
    h('span', { class: 'mono node-result-name' }, node.node), badge(node.outcome), h('span', { class: 'chips' }, ...counts(node.deliveries)));
}
