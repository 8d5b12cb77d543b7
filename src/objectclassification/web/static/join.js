// Makes this device a camera: asks for its lens, turns the link's code into a token, says how it goes.
import { call } from './api.js';
import { make, say } from './dom.js';
import { PhoneCamera } from './phone-camera.js';
import { Eye } from './phone-eye.js';
import { Spool } from './phone-spool.js';
import { text } from './texts.js';

const MOST_LINES = 8;
const SPENT = ['join_used', 'join_expired', 'not_found'];
const KEPT = 'objectclassification-phone';

const at = (id) => document.getElementById(id);
const { maxPixels, maxBytes } = at('phone').dataset;
const eye = new Eye(at('view'), { pixels: maxPixels, bytes: maxBytes }, () => {
  isTaken = true;
  trouble('taken_away');
});
const spool = new Spool();
let me = JSON.parse(localStorage.getItem(KEPT) ?? '{}');
let camera = null;
let isTaken = false;

const code = () => at('code').value.trim().split('#').pop() || location.hash.match(/^#([\w-]{22})$/)?.[1];

function keep(more) {
  Object.assign(me, more);
  localStorage.setItem(KEPT, JSON.stringify(me));
}

/** Shows the parts of one state of the page. */
function show(state) {
  for (const part of document.querySelectorAll('[data-when]')) {
    part.hidden = !part.dataset.when.split(' ').includes(state);
  }
}

function trouble(key, values) {
  eye.close();
  camera?.link.close();
  at('why').textContent = text(key, values);
  show('trouble');
}

function tell(line) {
  status();
  if (!line) return;
  at('news').prepend(make('li', {}, make('time', {}, new Date().toLocaleTimeString()), ` ${line}`));
  at('news').children[MOST_LINES]?.remove();
}

function status(why) {
  const isUp = Boolean(camera?.link.isUp);
  const count = camera?.waiting.length;
  const line = isUp ? text('ready', { camera: me.camera }) : why ?? text('offline');
  at('status').textContent = count ? `${line} ${text('waiting', { count })}` : line;
  at('status').dataset.state = isUp ? 'on' : 'off';
}

/** Says why the browser gives no camera, in the words for that browser. */
function noCamera({ name, message }) {
  const [system] = navigator.userAgent.match(/iPhone|Firefox|Android/) ?? ['other'];
  const keys = { NotFoundError: 'no_camera', NotReadableError: 'in_use', NotAllowedError: `denied_${system}` };
  trouble(keys[name] ?? 'odd', { why: message });
}

async function look(deviceId) {
  await eye.open(deviceId);
  keep({ deviceId: eye.deviceId });
  const lenses = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === 'videoinput');
  at('lens').replaceChildren(...lenses.map(({ deviceId: value, label }) =>
    make('option', { value, selected: value === eye.deviceId }, label)));
  at('lens').parentElement.hidden = lenses.length < 2;
  at('torch').hidden = !eye.hasTorch;
  at('torch').ariaPressed = 'false';
}

function stayAwake() {
  if (camera && !document.hidden) navigator.wakeLock?.request('screen').catch(() => {});
}

async function start() {
  if (!isSecureContext) return trouble('insecure');
  if (!at('view').requestVideoFrameCallback || !navigator.mediaDevices) return trouble('old_browser');
  if (!me.token && !code()) return trouble('no_code');
  isTaken = false;
  show('starting');
  try {
    await look(me.deviceId);
  } catch (error) {
    return noCamera(error);
  }
  try {
    if (!spool.items.length) await spool.open(() => tell(text('dropped')));
    // Last: a code works once, and is not to be spent on a device that cannot be a camera.
    if (code()) {
      const used = code();
      const { token, cameras } = await call('POST', '/api/joins/redeem', { code: used });
      keep({ token, camera: cameras[0], instance: crypto.randomUUID(), used });
      history.replaceState(null, '', location.pathname);
      at('code').value = '';
    }
  } catch (error) {
    return isSpent(error) || trouble('odd', { why: error.message });
  }
  show('on');
  camera?.link.close();
  camera = new PhoneCamera(me, eye, spool, { up: status, down: status, end: ended, news: tell });
  status();
  stayAwake();
}

function ended(why, detail) {
  if (why !== 'replaced') keep({ token: null });
  trouble(why, { why: detail });
}

at('join').onsubmit = (event) => {
  event.preventDefault();
  start();
};
at('again').onclick = () => (me.token || code() ? start() : show('new'));
at('shutter').onclick = () => camera.takeOwn();
at('lens').onchange = ({ target }) => look(target.value).catch(noCamera);
at('torch').onclick = ({ target }) => {
  const on = target.ariaPressed !== 'true';
  eye.light(on).then(() => { target.ariaPressed = on; }, ({ message }) => say(message));
};
at('leave').onclick = () => {
  eye.close();
  camera.link.close();
  keep({ token: null });
  show('new');
};
document.addEventListener('visibilitychange', () => {
  if (isTaken && !document.hidden) start(); // by the lock of the screen
  else stayAwake();
});
/** Whether a code is good no more; then says so, and how to get another. */
function isSpent(error) {
  if (!SPENT.includes(error.code)) return false;
  history.replaceState(null, '', location.pathname);
  at('code').value = '';
  trouble('spent', { why: text(error.code) });
  return true;
}

async function greet() {
  if (me.token && [undefined, me.used].includes(code())) {
    history.replaceState(null, '', location.pathname); // this device has used it itself
    return start();
  }
  show('new');
  if (code()) await call('POST', '/api/joins/look', { code: code() }).catch(isSpent);
}

addEventListener('hashchange', () => code() && greet());
greet();
