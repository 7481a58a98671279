// The devices of one user, and the end of their connections.

import { confirmAction } from './dialog.js';
import { byId, h } from './dom.js';
import { dateTime, number, parseTime } from './format.js';
import { message, setAttribute, setText } from './i18n.js';
import { cell } from './nodes.js';
import { showProblem } from './problem.js';

/** The panel. */
export class UsersPanel {
  /** @param {import('./api.js').Api} api */
  constructor(api) {
    this.api = api;
    this.user = '';
    byId('user-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.look(byId('user-id').value.trim());
    });
    byId('user-kick-all').addEventListener('click', () => this.kick());
  }

  /** Asks for a user's devices and shows them. @param {string} user @returns {Promise<boolean>} whether it could */
  async look(user) {
    this.user = user;
    try {
      const answer = await this.api.user(user);
      if (this.user !== user) return false; // another one was asked for meanwhile
      showProblem(byId('user-problem'), null);
      this.show(user, answer.devices ?? []);
      return true;
    } catch (error) {
      showProblem(byId('user-problem'), error);
      byId('user-result').hidden = true;
      byId('user-empty').hidden = true;
      return false;
    }
  }

  show(user, devices) {
    const online = devices.filter((device) => device.online).length;
    byId('user-result').hidden = devices.length === 0;
    byId('user-empty').hidden = devices.length > 0;
    setText(byId('user-empty'), 'users.none', { user });
    byId('user-name').textContent = user;
    setText(byId('user-summary'), 'users.summary', { online: number(online), devices: number(devices.length) });
    byId('user-kick-all').disabled = online === 0;
    byId('user-devices').replaceChildren(...devices.map((device) => this.row(device)));
  }

  row(device) {
    const state = device.online ? 'online' : 'offline';
    const type = message(`type.${device.client_type}`);
    const kick = setText(h('button', { type: 'button', class: 'small danger', dataset: { testid: 'user-kick' }, disabled: !device.online,
      onclick: () => this.kick(device.client_type) }), 'users.kick');
    setAttribute(kick, 'aria-label', 'users.kick.of', { type });
    return h('tr', { dataset: { testid: 'user-device', type: device.client_type, state } },
      cell('users.type', setText(h('span'), `type.${device.client_type}`)),
      cell('users.online', setText(h('span', { class: 'pill', dataset: { state } }), `users.online.${state}`)),
      cell('users.node', device.node || '–', 'mono'), cell('users.connection', connectionOf(device), 'mono'),
      cell('users.since', dateTime(parseTime(device.since)), 'nowrap'), cell('users.device', deviceOf(device)),
      cell('users.tags', device.tags || '–', 'mono'), h('td', { class: 'row-action' }, kick));
  }

  async kick(clientType) {
    const user = this.user;
    const params = { user, type: message(clientType ? `type.${clientType}` : 'users.all') };
    const question = clientType
      ? { title: 'users.kick.title', text: 'users.kick.text.type', yes: 'users.kick' }
      : { title: 'users.kick.title', text: 'users.kick.text.all', yes: 'users.kick' };
    if (!(await confirmAction({ ...question, params }))) return;
    try {
      const { kicked } = await this.api.kick(user, clientType);
      if (await this.look(user)) setText(byId('user-summary'), 'users.kicked', { count: number(kicked) });
    } catch (error) {
      showProblem(byId('user-problem'), error);
    }
  }
}

function connectionOf(device) {
  return [device.transport, device.connection].filter(Boolean).join(' ') || '–';
}

function deviceOf(device) {
  const facts = [[device.os_name, device.os_version].filter(Boolean).join(' '), device.client_version].filter(Boolean).join(', ');
  return h('span', { class: 'stacked' }, h('code', {}, device.device_id || '–'), facts ? h('span', { class: 'hint' }, facts) : null);
}
