// Calls to the allocator's HTTP API. Every failure becomes an ApiError, whether
// the answer was a problem document, something else, or never came.

const tokenKey = 'fanfare.token';
const timeoutMs = 15_000;

/** A failed call, with the members of the problem document where there was one. */
export class ApiError extends Error {
  /**
   * @param {{title: string, status?: number, code?: string, detail?: string, field?: string, retryAfter?: string}} problem
   *   status 0 (the default): no answer came
   */
  constructor(problem) {
    super(problem.detail || problem.title);
    this.name = 'ApiError';
    this.title = problem.title;
    this.status = problem.status ?? 0;
    this.code = problem.code ?? '';
    this.detail = problem.detail ?? '';
    this.field = problem.field ?? '';
    this.retryAfter = problem.retryAfter ?? '';
  }
}

/** The API as the page calls it. Dispatches "unauthorized" when an answer is 401. */
export class Api extends EventTarget {
  /** @param {string} [base] URL the paths are relative to */
  constructor(base = new URL('api/v1/', document.baseURI).href) {
    super();
    this.base = base;
  }

  /** The bearer token, kept for this tab only. Setting "" forgets it. */
  get token() {
    try {
      return sessionStorage.getItem(tokenKey) ?? '';
    } catch {
      return this.unstored ?? '';
    }
  }

  set token(value) {
    this.unstored = value;
    try {
      if (value) sessionStorage.setItem(tokenKey, value);
      else sessionStorage.removeItem(tokenKey);
    } catch {
      // Storage is off: the token lasts as long as the page.
    }
  }

  /**
   * Sends a request and returns the response if it is a success.
   * @param {string} path below /api/v1/, already escaped
   * @param {RequestInit} [init]
   * @returns {Promise<Response>}
   * @throws {ApiError}
   */
  async fetch(path, init = {}) {
    const headers = new Headers(init.headers);
    if (this.token) headers.set('Authorization', `Bearer ${this.token}`);
    let response;
    try {
      response = await fetch(this.base + path, { cache: 'no-store', ...init, headers });
    } catch (cause) {
      throw networkError(cause);
    }
    if (response.ok) return response;
    const failure = await problemOf(response);
    if (response.status === 401) this.dispatchEvent(new CustomEvent('unauthorized', { detail: failure }));
    throw failure;
  }

  /**
   * Sends a request and reads the JSON answer.
   * @param {string} method
   * @param {string} path below /api/v1/, already escaped
   * @param {*} [body] sent as JSON
   * @param {number} [patience] milliseconds to wait for the answer
   * @returns {Promise<*>}
   * @throws {ApiError}
   */
  async call(method, path, body, patience = timeoutMs) {
    const init = { method, signal: AbortSignal.timeout(patience) };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { 'Content-Type': 'application/json' };
    }
    const response = await this.fetch(path, init);
    try {
      return await response.json();
    } catch (cause) {
      throw new ApiError({ title: 'Unreadable answer', status: response.status, code: 'unreadable', detail: String(cause) });
    }
  }

  /** GET /api/v1/nodes. @returns {Promise<{nodes: Object[]}>} */
  nodes() {
    return this.call('GET', 'nodes');
  }

  /** GET /api/v1/messages/{id}. @param {string} id */
  message(id) {
    return this.call('GET', `messages/${encodeURIComponent(id)}`);
  }

  /** POST /api/v1/messages/{id}/cancel. @param {string} id of a broadcast */
  cancel(id) {
    return this.call('POST', `messages/${encodeURIComponent(id)}/cancel`, {});
  }

  /** POST /api/v1/push. @param {Object} request @param {number} waitMs how long the answer may be held back */
  push(request, waitMs = 0) {
    return this.call('POST', 'push', request, timeoutMs + waitMs);
  }

  /** GET /api/v1/users/{user}. @param {string} user */
  user(user) {
    return this.call('GET', `users/${encodeURIComponent(user)}`);
  }

  /** POST /api/v1/users/{user}/kick. @param {string} user @param {string} [clientType] none: all */
  kick(user, clientType) {
    return this.call('POST', `users/${encodeURIComponent(user)}/kick`, clientType ? { client_type: clientType } : {});
  }

  /** POST /api/v1/nodes/{id}/drain. @param {string} id @param {number|null} rate connections a second; null: the node's default */
  drain(id, rate) {
    return this.call('POST', `nodes/${encodeURIComponent(id)}/drain`, rate ? { rate } : {});
  }
}

function networkError(cause) {
  const timedOut = cause?.name === 'TimeoutError';
  return new ApiError({ title: '', code: timedOut ? 'timeout' : 'network', detail: timedOut ? '' : String(cause?.message ?? cause) });
}

async function problemOf(response) {
  const plain = { title: response.statusText || `HTTP ${response.status}`, status: response.status };
  plain.retryAfter = response.headers.get('Retry-After') ?? '';
  const kind = response.headers.get('Content-Type') ?? '';
  try {
    if (!kind.includes('json')) return new ApiError({ ...plain, detail: (await response.text()).slice(0, 300).trim() });
    const problem = await response.json();
    return new ApiError({ ...plain, ...problem, title: problem.title || plain.title, status: response.status });
  } catch {
    return new ApiError(plain); // a broken body says no more than the status
  }
}
