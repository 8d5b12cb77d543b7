// A controller of the hub: its messages on this page, and snaps from it.
import { call } from './api.js';
import { text } from './texts.js';

const LONGEST_WAIT_MS = 10_000;
const RELOAD_MS = 10_000;
const FAILURES_BEFORE_RELOADING = 3;
const SOON_MS = 2_000; // in which a connection comes about, or a snap does without

const status = document.getElementById('live');
let socket = null;
let failures = 0;
let wasOpen = false;
let waiting = 0;
let options = null;
let settled = null; // resolves once it is known whether a connection comes about
let settle = () => {};

/** Connects, and again whenever that is lost.
 *
 * topics: what to watch (snaps, shots, cameras, pictures).
 * onMessage(message): of the hub, as docs/protocol.md has them.
 * refresh(): reads anew what the page shows. Called after every gap, and every 10 s while there is
 * no WebSocket but an answer over HTTP (a proxy that lets none through). */
export function live(wanted) {
  options = wanted;
  connect();
  addEventListener('online', again);
  document.addEventListener('visibilitychange', () => document.hidden || again());
  addEventListener('pagehide', () => socket?.close());
  addEventListener('pageshow', (event) => event.persisted && again());
}

/** Sends a message to the hub; false when there is no connection. */
export function send(message) {
  if (socket?.readyState !== WebSocket.OPEN || !wasOpen) return false;
  socket.send(JSON.stringify(message));
  return true;
}

/** Takes pictures; answers the snap's id. The page hears of its shots as everybody who watches. */
export async function snap(to, more = {}) {
  const id = newId();
  // Else what becomes of it would come before anybody here listens.
  await Promise.race([settled, new Promise((go) => { setTimeout(go, SOON_MS); })]);
  if (!send({ type: 'snap', id, to, ...more })) await call('POST', '/api/snaps', { id, to, ...more });
  return id;
}

/** A UUIDv7 (RFC 9562): crypto.randomUUID is for HTTPS only, and no time. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let at = 5, left = Date.now(); at >= 0; at--, left = Math.floor(left / 256)) bytes[at] = left % 256;
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function connect() {
  clearTimeout(waiting);
  settled = new Promise((resolve) => { settle = resolve; });
  socket = new WebSocket(`${location.protocol.replace('http', 'ws')}//${location.host}/ws`);
  socket.onopen = () => {
    send_({ type: 'hello', role: 'controller', instance: `page-${newId()}` });
    send_({ type: 'watch', topics: options.topics });
  };
  socket.onmessage = ({ data }) => {
    if (data[0] !== '{') return;
    const message = JSON.parse(data);
    if (message.type === 'welcome') opened();
    else options.onMessage(message);
  };
  socket.onclose = closed;
}

const send_ = (message) => socket.send(JSON.stringify(message));

function opened() {
  const gap = failures > 0;
  wasOpen = true;
  failures = 0;
  settle();
  show('on', text('live'));
  if (gap) refresh();
}

async function closed() {
  wasOpen = false;
  failures += 1;
  settle();
  let answers = true;
  try {
    await call('GET', '/api/sessions'); // without a session this leads to the form
  } catch (error) {
    answers = error.status > 0;
  }
  const reloads = answers && failures >= FAILURES_BEFORE_RELOADING;
  if (reloads) {
    show('reloading', text('reloading'));
    await refresh();
  } else show('off', text('lost'));
  const wait = Math.min(LONGEST_WAIT_MS, 250 * 2 ** failures) * (0.5 + Math.random() / 2);
  clearTimeout(waiting);
  waiting = setTimeout(connect, reloads ? RELOAD_MS : wait);
}

function again() {
  if (socket.readyState > WebSocket.OPEN) connect();
}

async function refresh() {
  try {
    await options.refresh();
  } catch {
    // The next gap, or the next ten seconds, bring it.
  }
}

function show(state, line) {
  status.dataset.state = state;
  if (status.textContent !== line) status.textContent = line;
}
