// The camera program in a browser: for each snap a picture, kept, PUT, and every stage reported.
import { newId } from './live.js';
import { Failure } from './phone-eye.js';
import { Link } from './phone-link.js';
import { text } from './texts.js';

const MOST_REMEMBERED = 1000;
const LONGEST_SHOT_MS = 60_000;
const UPLOAD_MS = 300_000;

export class PhoneCamera {
  #said = new Map(); // the newest word on each shot, by snap
  #unsent = new Set();
  #shooting = Promise.resolve();
  #path = '';
  #delivers = false;
  #failures = 0;
  #upload = new AbortController();
  #goOn = () => {};

  /** me: {camera, token, instance}. on: up(), down(why), end(code, detail), as Link has them, and news(line)
   * of a picture, or without a line of their number. */
  constructor(me, eye, spool, on) {
    Object.assign(this, { me, eye, spool, on });
    for (const item of this.waiting) this.#said.set(item.snap, this.#report(item, 'captured'));
    const cameras = [{ name: me.camera, source: 'browser' }];
    const hello = { instance: me.instance, agent: navigator.userAgent.slice(0, 256), cameras };
    this.link = new Link(me.token, hello, { ...on, message: (message) => this.#take(message) });
    this.link.open();
  }

  takeOwn() {
    this.#shoot({ id: newId(), origin: 'camera', deadline_s: 10 }, performance.now());
  }

  get waiting() {
    return this.spool.items.filter(({ camera }) => camera === this.me.camera);
  }

  #take(message) {
    const arrived = performance.now();
    if (message.type === 'snap') this.#order(message, arrived);
    if (message.type !== 'welcome') return;
    this.#path = message.cameras[0].upload;
    this.#upload.abort(); // it began on a connection that is gone, and may hang
    this.#failures = 0;
    for (const snap of this.#unsent) this.#say(this.#said.get(snap));
    for (const order of message.pending ?? []) this.#order(order, arrived);
    this.on.up();
    this.#deliver();
  }

  #order(order, arrived) {
    const said = this.#said.get(order.id);
    if (said) return this.#say(said); // it was begun: never twice
    this.#say(this.#report({ snap: order.id }, 'delivered'));
    this.#shoot(order, arrived);
  }

  #shoot(order, arrived) {
    // One after the other: stills cannot be taken at the same time.
    this.#shooting = this.#shooting.then(async () => {
      const shot = { snap: order.id, origin: order.origin };
      try {
        this.#say(this.#report(shot, 'captured', await this.#keep(shot, order, arrived)));
        this.on.news();
        this.#deliver();
      } catch (error) {
        this.#fail(shot, error instanceof Failure ? error.code : 'capture_failed', error.message);
      }
    });
  }

  async #keep(shot, { origin, deadline_s, options = {} }, arrived) {
    const ends = arrived + 1000 * deadline_s;
    // What fails is told before the deadline, so that the receipt has it.
    const until = Math.min(ends - Math.min(1000, 100 * deadline_s), arrived + LONGEST_SHOT_MS);
    const { blob, takenAt, ms, warnings } = await this.eye.shoot(arrived, until);
    const taken = performance.now();
    const wantedUntil = origin === 'camera' ? takenAt : Date.now() + ends - taken;
    await this.spool.add({ ...shot, key: newId(), camera: this.me.camera, blob, takenAt, wantedUntil });
    const kept = performance.now();
    const camera_ms = { ...ms, spool: kept - taken, total: kept - arrived };
    for (const name in camera_ms) camera_ms[name] = Math.round(10 * camera_ms[name]) / 10;
    const unknown = Object.keys(options).map((name) => text('option', { name }));
    return { camera_ms, warnings: [...warnings, ...unknown].slice(0, 8) };
  }

  #fail(shot, code, detail) {
    this.#say(this.#report(shot, 'failed', { error: { code, detail: detail.slice(0, 256) } }));
    this.on.news(text('failed', { why: detail }));
  }

  #report({ snap, origin = 'controller' }, state, more) {
    // Browsers stamp frames when they come from the driver: never proven.
    const freshness = state === 'captured' ? 'estimated' : undefined;
    return { type: 'shot', camera: this.me.camera, snap, origin, state, freshness, ...more };
  }

  #say(report) {
    this.#said.set(report.snap, report);
    if (this.#said.size > MOST_REMEMBERED) this.#said.delete(this.#said.keys().next().value);
    if (this.link.send(report)) this.#unsent.delete(report.snap);
    else this.#unsent.add(report.snap);
  }

  /** Uploads all that is kept, those first that somebody waits for. */
  async #deliver() {
    this.#goOn();
    if (this.#delivers) return;
    this.#delivers = true;
    while (this.link.isUp && this.waiting.length) {
      const item = this.waiting.findLast(({ wantedUntil }) => wantedUntil > Date.now()) ?? this.waiting[0];
      // The hub hears of its own pictures from nobody else, and must before the API does.
      if (item.origin === 'camera') this.#say(this.#said.get(item.snap) ?? this.#report(item, 'captured'));
      const pause = await this.#put(item).catch(() => this.#pause());
      if (!pause) continue;
      await new Promise((resolve) => {
        this.#goOn = resolve;
        setTimeout(resolve, pause);
      });
    }
    this.#delivers = false;
  }

  /** Uploads one; answers how many milliseconds to wait then. */
  async #put(item) {
    // By the wall clock: the other one may stand still while a phone sleeps.
    const age = Math.max(0, Math.round(Date.now() - item.takenAt));
    const upload = (this.#upload = new AbortController());
    setTimeout(() => upload.abort(), UPLOAD_MS);
    const answer = await fetch(`${this.#path}?snap=${item.snap}&age_ms=${age}`, {
      method: 'PUT',
      headers: { Authorization: `Bearer ${this.me.token}`, 'Idempotency-Key': item.key },
      body: item.blob,
      redirect: 'error',
      signal: upload.signal,
    });
    const { status, ok } = answer;
    if (status >= 500 || [401, 408, 425, 429].includes(status)) {
      return 1000 * Math.min(60, answer.headers.get('Retry-After')) || this.#pause();
    }
    this.#failures = 0;
    await this.spool.remove(item.key);
    if (ok) this.on.news(text('sent', { seconds: (age / 1000).toFixed(1) }));
    else this.#fail(item, 'upload_failed', (await answer.json().catch(() => 0)).detail ?? `HTTP ${status}`);
    return 0;
  }

  #pause() {
    return Math.min(30_000, 500 * 2 ** this.#failures++) * (0.5 + Math.random() / 2);
  }
}
