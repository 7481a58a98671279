// A device that speaks MPush's JSON protocol over WebSocket: one text frame is one
// packet {"cmd":2,"flags":16,"sessionId":1,"body":{…}}. This file knows nothing of
// the page; devicepanel.js shows what happens here.

const CMD = { handshake: 2, bind: 5, unbind: 6, error: 10, ok: 11, kick: 13, push: 15, ack: 23 };
const FLAG = { bizAck: 4, autoAck: 8, json: 16 };
const REPEAT_HANDSHAKE = 102; // the one error after which nothing is wrong

const replyMs = 10_000; // for a connection, a handshake, a bind
const farewellMs = 2_000; // a kicked device lets the node close, and then does it itself
const firstRetryMs = 500;
const lastRetryMs = 30_000;
const steadyMs = 5_000; // a binding that held this long was a success

/**
 * Why a node closes a connection, in the order of their numbers: the close code is
 * one of the RFC's or 4000 plus the number, the first being 1.
 */
export const closeReasons = ['peer', 'reset', 'capacity', 'tls', 'handshake_timeout', 'idle', 'too_large', 'bad_frame',
  'bad_body', 'bad_request', 'unsupported', 'bind_refused', 'overload', 'slow_bytes', 'slow_age', 'write', 'kicked',
  'replaced', 'drain', 'shutdown', 'store', 'internal'];

const final = new Set(['too_large', 'bad_frame', 'bad_body', 'bad_request', 'unsupported', 'bind_refused', 'kicked',
  'replaced']);

/**
 * The name of the reason for a close, from the close frame.
 * @param {number} code
 * @param {string} reason
 * @returns {string} one of closeReasons, or the code as text
 */
export function closeReason(code, reason) {
  if (closeReasons.includes(reason)) return reason;
  return closeReasons[code - 4001] ?? String(code);
}

/**
 * Whether connecting again can help after a close. MPush closes with 1000 after it
 * refused something, and would refuse it again.
 * @param {number} code
 * @param {string} reason
 * @returns {boolean}
 */
export function mayReconnect(code, reason) {
  return !final.has(closeReason(code, reason)) && ![1000, 1002, 1003, 1007, 1009].includes(code);
}

/**
 * What acknowledgement a PUSH asks for; with both bits set the SDK acknowledges.
 * @param {number} flags
 * @returns {'none'|'auto'|'biz'}
 */
export function ackMode(flags) {
  if (flags & FLAG.autoAck) return 'auto';
  return flags & FLAG.bizAck ? 'biz' : 'none';
}

/**
 * One device. Dispatches:
 *   state  {state: 'offline'|'connecting'|'handshake'|'connected'|'binding'|'bound'|'waiting', retryAt?}
 *   push   {content, sessionId, ack}
 *   kick   {user, device, own}
 *   refused {cmd, code, reason}   an ERROR of the node
 *   closed {code, reason, retry, asked}   asked: this side closed it
 *   broken {reason: 'bad_url'|'no_reply'|'not_json', text}
 */
export class Device extends EventTarget {
  /**
   * @param {{url: () => string, deviceId: string, osName: string, osVersion: string, clientVersion: string,
   *   user: string, tags: string}} options url is asked at every attempt, so a device can follow the cluster
   */
  constructor(options) {
    super();
    this.options = options;
    this.user = options.user;
    this.tags = options.tags;
    this.state = 'offline';
    this.attempt = 0;
    this.lastId = 0;
    this.wanted = false; // it shall be connected
    this.asked = false; // this side closes the connection
  }

  /** Connects, binds, and keeps doing so until disconnect() or a refusal. */
  connect() {
    this.wanted = true;
    clearTimeout(this.retryTimer);
    this.open();
  }

  /** Closes the connection and stays away. */
  disconnect() {
    this.wanted = false;
    this.asked = true;
    clearTimeout(this.retryTimer);
    if (this.socket) this.socket.close(1000);
    else this.enter('offline');
  }

  /** Connects now if it was waiting to. */
  retryNow() {
    if (this.state === 'waiting') this.connect();
  }

  /** Binds another user or other tags on the open connection. @param {string} user @param {string} tags */
  bind(user, tags) {
    this.user = user;
    this.tags = tags;
    this.enter('binding');
    this.send(CMD.bind, { userId: user, tags });
    this.expectReply();
  }

  /** Releases the user; the connection stays. */
  unbind() {
    this.send(CMD.unbind, { userId: this.user, tags: this.tags });
    this.expectReply();
  }

  /** Acknowledges a PUSH. @param {number} sessionId of the PUSH @returns {boolean} whether it could be sent */
  ack(sessionId) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify({ cmd: CMD.ack, flags: FLAG.json, sessionId }));
    return true;
  }

  open() {
    this.asked = false;
    this.enter('connecting');
    let socket;
    try {
      socket = new WebSocket(this.options.url());
    } catch (cause) {
      this.wanted = false;
      this.tell('broken', { reason: 'bad_url', text: String(cause.message ?? cause) });
      this.enter('offline');
      return;
    }
    this.socket = socket;
    this.expectReply();
    socket.onopen = () => this.handshake();
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = (event) => this.closed(socket, event);
  }

  handshake() {
    const { deviceId, osName, osVersion, clientVersion } = this.options;
    this.lastId = 0;
    this.enter('handshake');
    this.send(CMD.handshake, { deviceId, osName, osVersion, clientVersion });
    this.expectReply();
  }

  send(cmd, body) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify({ cmd, flags: FLAG.json, sessionId: ++this.lastId, body }));
  }

  receive(text) {
    let packet;
    try {
      packet = JSON.parse(text);
    } catch {
      this.tell('broken', { reason: 'not_json', text: String(text).slice(0, 200) });
      return;
    }
    const body = packet.body ?? {};
    switch (packet.cmd) {
      case CMD.handshake: this.bind(this.user, this.tags); break;
      case CMD.ok: this.succeeded(body); break;
      case CMD.error: this.refused(body); break;
      case CMD.kick: this.kicked(body); break;
      case CMD.push: this.pushed(packet, body); break;
      default: // like every SDK: what is not known is ignored
    }
  }

  succeeded(body) {
    const released = body.data === 'unbind success';
    if (body.cmd === CMD.bind && released) return; // another user was bound here; the bind's own OK follows
    clearTimeout(this.replyTimer);
    if (body.cmd === CMD.bind) {
      this.boundAt = Date.now();
      this.enter('bound');
    } else if (body.cmd === CMD.unbind) {
      this.enter('connected');
    }
  }

  refused(body) {
    clearTimeout(this.replyTimer);
    this.tell('refused', { cmd: body.cmd ?? 0, code: body.code ?? 0, reason: body.reason ?? '' });
    if (body.code === REPEAT_HANDSHAKE) this.enter('connected');
  }

  kicked(body) {
    const own = body.deviceId === this.options.deviceId && body.userId === this.user;
    this.tell('kick', { user: body.userId ?? '', device: body.deviceId ?? '', own });
    if (!own) return;
    this.wanted = false; // coming back would kick the other one: two devices would fight for ever
    const socket = this.socket;
    this.farewell = setTimeout(() => {
      this.asked = true;
      socket.close(1000);
    }, farewellMs);
  }

  pushed(packet, body) {
    const ack = ackMode(packet.flags ?? 0);
    this.tell('push', { content: String(body.content ?? ''), sessionId: packet.sessionId, ack });
    if (ack === 'auto') this.ack(packet.sessionId);
  }

  expectReply() {
    clearTimeout(this.replyTimer);
    this.replyTimer = setTimeout(() => {
      this.tell('broken', { reason: 'no_reply', text: '' });
      this.drop();
    }, replyMs);
  }

  // drop gives a connection up that may never answer the closing handshake.
  drop() {
    const socket = this.socket;
    socket.onclose = null;
    socket.close();
    this.closed(socket, { code: 1006, reason: '' });
  }

  closed(socket, { code, reason }) {
    if (this.socket !== socket) return;
    clearTimeout(this.replyTimer);
    clearTimeout(this.farewell);
    this.socket = null;
    if (this.boundAt && Date.now() - this.boundAt > steadyMs) this.attempt = 0;
    this.boundAt = 0;
    const retry = this.wanted && mayReconnect(code, reason);
    this.tell('closed', { code, reason, retry, asked: this.asked });
    if (retry) this.wait();
    else {
      this.wanted = false;
      this.enter('offline');
    }
  }

  wait() {
    const ceiling = Math.min(lastRetryMs, firstRetryMs * 2 ** Math.min(this.attempt++, 10));
    const pause = ceiling * (0.5 + Math.random() / 2);
    this.retryTimer = setTimeout(() => this.open(), pause);
    this.enter('waiting', { retryAt: Date.now() + pause });
  }

  enter(state, more = {}) {
    this.state = state;
    this.tell('state', { state, ...more });
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
