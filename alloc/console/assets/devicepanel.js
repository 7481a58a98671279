// The part of the page that is a device: form, state and what arrives.

import { Device, closeReason } from './device.js';
import { byId, h, prependBounded } from './dom.js';
import { clock, duration } from './format.js';
import { has, message, setData, setText } from './i18n.js';

const keep = 200; // entries in the list
const osNames = { web: 'web', mobile: 'android', pc: 'linux', unknown: 'other' };
const commands = { 2: 'HANDSHAKE', 5: 'BIND', 6: 'UNBIND', 15: 'PUSH', 23: 'ACK' };

/** The panel. Dispatches "user" with the user's name when it connects. */
export class DevicePanel extends EventTarget {
  constructor() {
    super();
    this.log = byId('device-log');
    this.received = 0;
    this.edited = false; // the address was typed, so it does not follow the cluster
    byId('device-form').addEventListener('submit', (event) => this.submit(event));
    byId('device-url').addEventListener('input', () => this.edit());
    byId('device-bind').addEventListener('click', () => this.bind());
    byId('device-unbind').addEventListener('click', () => this.device.unbind());
    byId('device-clear').addEventListener('click', () => this.clear());
    window.addEventListener('online', () => this.device?.retryNow());
    this.show({ state: 'offline' });
  }

  /** Proposes the first serving node's WebSocket address. @param {Object[]} nodes */
  setNodes(nodes) {
    this.proposal = reachable(nodes.find((node) => node.state === 'serving' && node.websocket)?.websocket ?? this.proposal ?? '');
    if (!this.device || this.device.state === 'offline') this.follow();
  }

  // follow takes the proposal over; a connected device shows where it is connected.
  follow() {
    if (!this.edited) byId('device-url').value = this.proposal ?? '';
    return byId('device-url').value.trim();
  }

  edit() {
    this.edited = byId('device-url').value !== '';
  }

  submit(event) {
    event.preventDefault();
    if (this.device && this.device.state !== 'offline') {
      this.device.disconnect();
      return;
    }
    this.connect();
  }

  connect() {
    const type = byId('device-type').value;
    this.device = new Device({
      url: () => this.follow(),
      deviceId: deviceId(type),
      osName: osNames[type],
      osVersion: browserVersion(),
      clientVersion: 'console-1',
      user: byId('device-user').value.trim(),
      tags: byId('device-tags').value.trim(),
    });
    this.listen(this.device);
    this.device.connect();
    this.dispatchEvent(new CustomEvent('user', { detail: this.device.user }));
  }

  listen(device) {
    const on = (type, show) => device.addEventListener(type, (event) => show.call(this, event.detail));
    on('state', this.show);
    on('push', this.addPush);
    on('kick', this.addKick);
    on('refused', this.addRefusal);
    on('closed', this.addClose);
    on('broken', this.addBreak);
  }

  bind() {
    this.device.bind(byId('device-user').value.trim(), byId('device-tags').value.trim());
    this.dispatchEvent(new CustomEvent('user', { detail: this.device.user }));
  }

  show({ state, retryAt }) {
    clearInterval(this.countdown);
    byId('device-state').dataset.state = state;
    setText(byId('device-state-text'), `device.state.${state}`);
    setText(byId('device-connect'), state === 'offline' ? 'device.connect' : 'device.disconnect');
    byId('device-connect').classList.toggle('primary', state === 'offline');
    byId('device-bind').hidden = state !== 'connected';
    byId('device-unbind').hidden = state !== 'bound';
    for (const id of ['device-type', 'device-url']) byId(id).disabled = state !== 'offline';
    for (const id of ['device-user', 'device-tags']) byId(id).disabled = !['offline', 'connected'].includes(state);
    setData(byId('device-facts'), state === 'offline' ? '' : this.device.options.deviceId);
    if (state === 'waiting') this.countDown(retryAt);
  }

  // countDown writes beside the state, which is announced only once.
  countDown(retryAt) {
    const tell = () => setText(byId('device-facts'), 'device.retry', { seconds: Math.max(0, Math.ceil((retryAt - Date.now()) / 1000)) });
    tell();
    this.countdown = setInterval(tell, 500);
  }

  addPush({ content, sessionId, ack }) {
    this.received++;
    byId('device-count').textContent = String(this.received);
    const at = Date.now();
    const head = h('div', { class: 'log-head' }, h('time', {}, clock(at, true)),
      setText(h('span', { class: 'chip', dataset: { ack } }), 'device.push.ack', { mode: message(`ack.${ack}`) }),
      h('span', { class: 'hint mono' }, `#${sessionId}`));
    if (ack === 'auto') head.append(setText(h('span', { class: 'done' }), 'device.acked'));
    if (ack === 'biz') head.append(this.ackButton(this.device, sessionId, at));
    this.add(h('li', { class: 'push', dataset: { testid: 'device-push', ack } }, head, h('pre', {}, pretty(content))));
  }

  ackButton(device, sessionId, at) {
    const button = setText(h('button', { type: 'button', class: 'small', dataset: { testid: 'device-ack' } }), 'device.ack');
    const connection = device.socket; // an ack on a later connection would name another push
    button.addEventListener('click', () => {
      const sent = device.socket === connection && device.ack(sessionId);
      const params = { after: duration(Date.now() - at) };
      button.replaceWith(setText(h('span', { class: sent ? 'done' : 'lost' }), sent ? 'device.acked.after' : 'device.ack.lost', params));
    });
    return button;
  }

  addKick({ user, device, own }) {
    this.notice('warn', own ? 'device.kick' : 'device.kick.other', { user, device });
  }

  addRefusal({ cmd, code, reason }) {
    this.notice('error', 'device.refused', { cmd: commands[cmd] ?? cmd, reason: reason || '–', code });
  }

  addClose({ code, reason, asked }) {
    if (asked && (code === 1000 || code === 1005 || code === 1006)) {
      this.notice('info', 'device.closed.asked');
      return;
    }
    const name = closeReason(code, reason);
    const why = has(`close.${name}`) ? message(`close.${name}`) : reason || message('close.other');
    this.notice('warn', 'device.closed', { why, code });
  }

  addBreak({ reason, text }) {
    this.notice('error', `device.broken.${reason}`, { text });
  }

  notice(level, key, params) {
    this.add(h('li', { class: `notice ${level}`, dataset: { testid: 'device-notice', level } },
      h('time', {}, clock(Date.now(), true)), setText(h('span'), key, params)));
  }

  add(item) {
    byId('device-empty').hidden = true;
    prependBounded(this.log, item, keep);
  }

  clear() {
    this.log.replaceChildren();
    this.received = 0;
    byId('device-count').textContent = '0';
    byId('device-empty').hidden = false;
  }
}

// pretty indents JSON and leaves everything else as it came.
function pretty(content) {
  try {
    const value = JSON.parse(content);
    return typeof value === 'object' && value !== null ? JSON.stringify(value, null, 2) : content;
  } catch {
    return content;
  }
}

// deviceId is kept for the tab: the same device comes back, another tab is another.
function deviceId(type) {
  const key = 'fanfare.device';
  const fresh = () => Array.from(crypto.getRandomValues(new Uint8Array(4)), (byte) => byte.toString(16).padStart(2, '0')).join('');
  let id;
  try {
    id = sessionStorage.getItem(key) ?? fresh();
    sessionStorage.setItem(key, id);
  } catch {
    id = fresh();
  }
  return `${type}-${id}`;
}

function browserVersion() {
  const [, name, version] = /(Firefox|Edg|Chrome|Version)\/([\d.]+)/.exec(navigator.userAgent) ?? [];
  return name ? `${name === 'Version' ? 'Safari' : name} ${version}` : 'browser';
}

// reachable replaces a host that means "this machine" when the page came from another.
function reachable(address) {
  if (!address) return '';
  try {
    const url = new URL(address.includes('://') ? address : `ws://${address}`);
    const loopback = /^(localhost|127\.|\[::1\]$)/;
    const nowhere = url.hostname === '0.0.0.0' || url.hostname === '[::]';
    if (location.hostname && (nowhere || (loopback.test(url.hostname) && !loopback.test(location.hostname)))) url.hostname = location.hostname;
    return url.href;
  } catch {
    return address;
  }
}
