// The hub, for a camera: one WebSocket that comes back, at the pace of the camera program (client/link.py).
const ANSWER_MS = 10_000;
const NUDGE_MS = 20_000;
const RESTART_MS = 20_000;

const between = (least, most) => least + Math.random() * (most - least);

export class Link {
  #socket = null;
  #timer = 0;
  #failures = 0;
  #restartsUntil = 0;
  #ended = false;

  /** hello: fields of that message. on: message(message) of the hub, a welcome first; down(why) without a
   * connection; end(code, detail) when no other try helps: revoked, replaced, forbidden. */
  constructor(token, hello, on) {
    Object.assign(this, { token, hello, on, isUp: false });
    addEventListener('offline', () => this.#lost());
    // On another network, and after a sleep, the old connection may never say that it is dead.
    addEventListener('online', () => this.open());
    const { connection } = navigator;
    let network = connection?.type;
    connection?.addEventListener('change', () => network === (network = connection.type) || this.open());
    document.addEventListener('visibilitychange', () => document.hidden || this.open());
    // Nobody answers this, but a server that lost power and is back resets the connection.
    setInterval(() => this.send({ type: 'watch', topics: [] }), NUDGE_MS);
  }

  /** Connects, in place of what connection there is. */
  open() {
    if (this.#ended) return;
    this.#drop();
    // The token is in the only header that a page can set: proxies log addresses.
    const protocols = ['objectclassification', `token.${this.token}`];
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`, protocols);
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(), ANSWER_MS);
    socket.onopen = () => socket.send(JSON.stringify({ type: 'hello', role: 'camera', ...this.hello }));
    socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
    socket.onclose = (event) => this.#lost(event);
  }

  /** Sends a message; false without a connection. */
  send(message) {
    if (this.isUp) this.#socket.send(JSON.stringify(message));
    return this.isUp;
  }

  close() {
    this.#ended = true;
    this.#drop();
  }

  #drop() {
    clearTimeout(this.#timer);
    this.isUp = false;
    const socket = this.#socket ?? {};
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close?.();
    this.#socket = null;
  }

  #take(message) {
    const { type, code, detail } = message;
    if (type === 'welcome') {
      clearTimeout(this.#timer);
      this.isUp = true;
      this.#failures = 0;
    } else if (type === 'error' && !this.isUp) {
      return code === 'forbidden' ? this.#end(code, detail) : this.#again(detail);
    }
    this.on.message(message);
  }

  async #lost(event) {
    if (this.#ended) return;
    const doubtful = !this.isUp || event?.code === 1008;
    this.#drop();
    this.on.down();
    if (event?.reason === 'replaced') return this.#end('replaced');
    if (event?.code === 1012) this.#restartsUntil = performance.now() + RESTART_MS;
    // To a page a refused handshake is like no server at all. HTTP tells which.
    const isRefused = doubtful && (await this.#isRefused());
    if (this.#ended || this.#socket) return;
    if (isRefused) this.#end('revoked');
    else this.#again();
  }

  #again(why) {
    this.#drop();
    this.on.down(why);
    const longest = Math.min(30_000, 500 * 2 ** this.#failures);
    const restarts = performance.now() < this.#restartsUntil;
    if (!restarts) this.#failures += 1;
    const pause = restarts ? between(500, 1500) : between(longest / 2, longest);
    this.#timer = setTimeout(() => this.open(), pause);
  }

  #end(code, detail) {
    this.close();
    this.on.end(code, detail);
  }

  #isRefused() {
    const headers = { Authorization: `Bearer ${this.token}` };
    return fetch('/api/cameras', { headers }).then(({ status }) => status === 401, () => false);
  }
}
