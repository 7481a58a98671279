// The stream of server-sent events. EventSource cannot send an Authorization
// header, so the stream is read with fetch.

const maxBuffer = 1 << 20; // characters of one unfinished event
const silenceMs = 8_000; // the allocator speaks every second
const firstRetryMs = 500;
const lastRetryMs = 15_000;

/**
 * Reads server-sent events until the stream ends.
 * @param {ReadableStream<Uint8Array>} body
 * @param {(type: string, data: string) => void} onEvent
 * @returns {Promise<void>}
 */
export async function readEvents(body, onEvent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const blocks = buffer.split(/\r?\n\r?\n/);
    buffer = blocks.pop();
    if (buffer.length > maxBuffer) throw new Error('an event is larger than 1 MiB');
    for (const block of blocks) deliver(block, onEvent);
  }
}

function deliver(block, onEvent) {
  let type = 'message';
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = /^(\w*): ?(.*)$/.exec(line) ?? [];
    if (field === 'event') type = value;
    else if (field === 'data') data.push(value);
  }
  if (data.length > 0) onEvent(type, data.join('\n'));
}

/**
 * Keeps the stream open. Dispatches "state" with detail {state: 'connecting' |
 * 'live' | 'lost' | 'unauthorized', error?} and, for every event of the stream, an
 * event of its name with the parsed data as detail.
 */
export class EventStream extends EventTarget {
  /** @param {import('./api.js').Api} api */
  constructor(api) {
    super();
    this.api = api;
    this.attempt = 0;
  }

  /** Opens the stream, again if it is open, and keeps it open from now on. */
  start() {
    this.abort?.abort();
    clearTimeout(this.timer);
    this.abort = new AbortController();
    this.run(this.abort);
  }

  async run(abort) {
    this.tell('connecting');
    let error = null;
    try {
      const response = await this.api.fetch('events', { headers: { Accept: 'text/event-stream' }, signal: abort.signal });
      this.watch(abort);
      await readEvents(response.body, (type, data) => this.receive(abort, type, data));
    } catch (cause) {
      error = cause;
    }
    clearTimeout(this.watchdog);
    if (this.abort !== abort) return; // a later start took over
    if (error?.status === 401) {
      this.tell('unauthorized', error); // trying again without another token is of no use
      return;
    }
    this.tell('lost', error);
    this.timer = setTimeout(() => this.start(), this.pause());
  }

  pause() {
    const ceiling = Math.min(lastRetryMs, firstRetryMs * 2 ** this.attempt++);
    return ceiling * (0.5 + Math.random() / 2);
  }

  watch(abort) {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => abort.abort(new Error('nothing arrived for too long')), silenceMs);
  }

  receive(abort, type, data) {
    if (this.abort !== abort) return;
    this.watch(abort);
    this.attempt = 0;
    let parsed;
    try {
      parsed = JSON.parse(data);
    } catch {
      return; // not ours: the next event is read all the same
    }
    this.tell('live');
    this.dispatchEvent(new CustomEvent(type, { detail: parsed }));
  }

  tell(state, error = null) {
    this.dispatchEvent(new CustomEvent('state', { detail: { state, error } }));
  }
}
