// The part of the page that sends: form, the life of the message, and what was sent.

import { BroadcastView } from './broadcast.js';
import { byId, h, prependBounded } from './dom.js';
import { clock, number } from './format.js';
import { setData, setText } from './i18n.js';
import { badge, showMessage } from './message.js';
import { showProblem } from './problem.js';

const keep = 20; // sent messages
const firstPollMs = 120;
const lastPollMs = 1_000;
const patienceMs = 90_000; // longer than any ack timeout that makes sense
const fieldOf = { user: 'push-user', users: 'push-users', content: 'push-content', tags: 'push-tags', wait: 'push-wait',
  condition: 'push-condition', id: 'push-id', rate: 'push-rate', task: 'push-task' };

/** The panel. */
export class PushPanel {
  /** @param {import('./api.js').Api} api */
  constructor(api) {
    this.api = api;
    this.broadcast = new BroadcastView(api);
    this.followed = ''; // id of the message on show
    this.edited = false; // the user was typed, so it does not follow the device
    const form = byId('push-form');
    form.addEventListener('submit', (event) => this.submit(event));
    form.addEventListener('change', () => this.showTarget());
    form.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    byId('push-user').addEventListener('input', () => { this.edited = true; });
    byId('lookup-form').addEventListener('submit', (event) => this.lookUp(event));
    this.setConnections(null);
    this.showTarget();
  }

  /** Proposes a user, unless one was typed. @param {string} user */
  setUser(user) {
    if (!this.edited) byId('push-user').value = user;
  }

  /** Says how many connections a push to everybody reaches. @param {number|null} count */
  setConnections(count) {
    setText(byId('push-all-note'), 'push.all.note', { count: number(count) });
  }

  target() {
    return byId('push-form').elements.target.value;
  }

  showTarget() {
    const target = this.target();
    for (const name of ['user', 'users']) {
      byId(`push-${name}-field`).hidden = target !== name;
      byId(`push-${name}`).disabled = target !== name;
    }
    for (const name of ['rate', 'task']) {
      byId(`push-${name}-field`).hidden = target !== 'all';
      byId(`push-${name}`).disabled = target !== 'all';
    }
    byId('push-all-note').hidden = target !== 'all';
    setText(byId('push-send'), target === 'all' ? 'push.send.all' : 'push.send');
  }

  // request is the body of the call; what was left empty is left out.
  request() {
    const text = (id) => byId(id).value.trim();
    const list = (value, at) => value.split(at).map((one) => one.trim()).filter(Boolean);
    const request = { content: byId('push-content').value, ack: byId('push-form').elements.ack.value };
    if (this.target() === 'user') request.user = text('push-user');
    else if (this.target() === 'users') request.users = list(text('push-users'), /[\n,]/);
    else {
      request.broadcast = true;
      if (Number(text('push-rate')) > 0) request.rate = Number(text('push-rate'));
      if (text('push-task')) request.task = text('push-task');
    }
    const tags = list(text('push-tags'), ',');
    const types = [...byId('push-types').querySelectorAll('input:checked')].map((box) => box.value);
    if (tags.length > 0) request.tags = tags;
    if (types.length > 0) request.client_types = types;
    if (text('push-condition')) request.condition = text('push-condition');
    if (text('push-id')) request.id = text('push-id');
    if (Number(text('push-wait')) > 0) request.wait = `${Number(text('push-wait'))}s`;
    return request;
  }

  async submit(event) {
    event.preventDefault();
    const request = this.request();
    const button = byId('push-send');
    button.disabled = true;
    this.showFailure(null);
    this.leave();
    try {
      const answer = await this.api.push(request, (parseFloat(request.wait) || 0) * 1000);
      this.remember(answer.id, request, answer.outcome);
      this.follow(answer.id);
    } catch (error) {
      this.showFailure(error);
    } finally {
      button.disabled = false;
    }
  }

  showFailure(error) {
    showProblem(byId('push-problem'), error);
    for (const id of Object.values(fieldOf)) byId(id).removeAttribute('aria-invalid');
    const field = byId('push-form').querySelector(`#${fieldOf[error?.field] ?? 'none'}`);
    if (!field) return;
    field.setAttribute('aria-invalid', 'true');
    if (field.closest('details')) field.closest('details').open = true;
    field.focus();
  }

  async lookUp(event) {
    event.preventDefault();
    this.showFailure(null);
    await this.follow(byId('lookup-id').value.trim());
  }

  /**
   * Shows a message and asks for news until it has ended.
   * @param {string} id
   * @returns {Promise<void>} after the first answer
   */
  async follow(id) {
    this.leave();
    this.followed = id;
    await this.poll(id, Date.now() + patienceMs, firstPollMs);
  }

  // leave forgets the message on show: what is there must never belong to another one.
  leave() {
    this.followed = '';
    clearTimeout(this.timer);
    byId('message').hidden = true;
  }

  async poll(id, until, pause) {
    let snapshot;
    try {
      snapshot = await this.api.message(id);
    } catch (error) {
      if (this.followed === id) this.showFailure(error);
      return;
    }
    if (this.followed !== id) return; // another one was chosen meanwhile
    // A broadcast may take hours and says how far it is.
    const gaveUp = snapshot.outcome === 'pending' && Date.now() > until && !snapshot.broadcast;
    showMessage(snapshot, gaveUp);
    this.broadcast.show(snapshot);
    this.mark(id, snapshot.outcome);
    if (snapshot.outcome !== 'pending' || gaveUp) return;
    this.timer = setTimeout(() => this.poll(id, until, Math.min(lastPollMs, pause * 1.5)), pause);
  }

  remember(id, request, outcome = 'pending') {
    byId('history-empty').hidden = true;
    const to = h('span', { class: 'history-to' });
    if (request.broadcast) setText(to, 'push.target.all');
    else if (request.users) setText(to, 'history.users', { count: request.users.length });
    else setData(to, request.user);
    const button = h('button', { type: 'button', class: 'history-row', onclick: () => this.again(id) },
      h('time', {}, clock(Date.now())), to, h('span', { class: 'history-content' }, request.content.slice(0, 120)), badge(outcome));
    prependBounded(byId('history'), h('li', { dataset: { id, testid: 'history-item' } }, button), keep);
  }

  again(id) {
    this.showFailure(null);
    this.follow(id);
  }

  mark(id, outcome) {
    for (const item of byId('history').children) {
      if (item.dataset.id === id) badge(outcome, item.querySelector('.badge'));
    }
  }
}
