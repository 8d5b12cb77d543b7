// The page of a question: labels by key or finger, the part that is looked at, and teaching.
import { call } from './api.js';
import { busy, make, say } from './dom.js';
import { text } from './texts.js';

const AT_ONCE = 24;
const TRIES = 60;
const STEP = 0.02;

const byId = (id) => document.getElementById(id);
const { head, camera, enough } = byId('lesson').dataset;
const address = `/api/heads/${head}`; // a name is letters, digits, - _ and .
const buttons = [...document.querySelectorAll('#answers button')];

const failed = (error) => say(error.message);

// Labels. The queue's first picture is the one that is asked about.

let queue = [];
let asking = false;
const seen = new Set(); // labelled or left for later, here
let said = []; // what can be taken back, the last one last
const counts = buttons.map((button) => Number(button.lastChild.textContent));

async function more() {
  if (asking) return;
  asking = true;
  const query = new URLSearchParams({ limit: Math.min(100, AT_ONCE + seen.size), ...(camera && { camera }) });
  const found = await call('GET', `${address}/suggestions?${query}`).catch(failed);
  const known = new Set([...seen, ...queue.map((one) => one.picture)]);
  queue.push(...(found ?? []).filter((one) => !known.has(one.picture)));
  asking = false;
  show();
}

function show() {
  const [one] = queue;
  const [about, image] = [byId('about'), byId('subject')];
  image.hidden = !one;
  if (one) {
    image.src = `/api/pictures/${one.picture}/image`;
    image.alt = text('picture', { camera: one.camera ?? '' });
    about.textContent = text(`why_${one.why}`) + (one.said ? ` ${text('said', one)}` : '');
  } else about.replaceChildren(`${text('labelled_all')} `, make('a', { href: '/' }, text('open_cameras')));
  buttons.forEach((button, n) => {
    button.disabled = !one;
    button.lastChild.textContent = counts[n];
    button.lastChild.classList.toggle('ok', counts[n] >= enough);
  });
  byId('later').disabled = !one;
  byId('undo').disabled = !said.length;
  const ready = counts.filter(Boolean).length > 1;
  byId('teach').disabled = !ready;
  byId('not-yet').hidden = ready;
}

const label = (picture, name) =>
  call('PATCH', `/api/pictures/${picture}`, { labels: { [head]: name } });

async function answer(n) {
  const one = queue[0];
  if (!one || !buttons[n]) return;
  const entry = { one, n, sent: label(one.picture, buttons[n].dataset.class) };
  said.push(entry);
  counts[n] += 1;
  later();
  try {
    await entry.sent;
  } catch (error) {
    failed(error);
    said = said.filter((other) => other !== entry);
    back(entry, error.status !== 404); // one that was deleted meanwhile stays away
  }
}

function later() {
  if (queue.length) seen.add(queue.shift().picture);
  show();
  if (queue.length < 3) more();
}

async function undo() {
  const entry = said.pop();
  if (!entry) return;
  await entry.sent;
  await label(entry.one.picture, null);
  back(entry);
}

function back({ one, n }, again = true) {
  counts[n] -= 1;
  if (again) {
    seen.delete(one.picture);
    queue.unshift(one);
  }
  show();
}

buttons.forEach((button, n) => button.addEventListener('click', () => answer(n)));
byId('later').addEventListener('click', later);
byId('undo').addEventListener('click', () => undo().catch(failed));
addEventListener('keydown', (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select')) return;
  if (/^[1-9]$/.test(event.key)) answer(event.key - 1);
  else if (event.key === 'n') byId('later').click();
  else if (event.key === 'u') byId('undo').click();
});
more();

// The part that is looked at: left, top, right, bottom as fractions; null is all of it.

const cropper = byId('cropper');
let crop = cropper?.dataset.crop ? cropper.dataset.crop.split(',').map(Number) : null;
const within = (value, least = 0, most = 1) => Math.min(most, Math.max(least, value));

function draw(wanted) {
  crop = wanted;
  const [left, top, right, bottom] = crop ?? [0, 0, 1, 1];
  cropper.querySelector('path').setAttribute('d', `M0 0H1V1H0ZM${left} ${top}H${right}V${bottom}H${left}Z`);
  const [l, t, r, b] = [left, top, right, bottom].map((edge) => Math.round(100 * edge));
  byId('crop-said').textContent = crop ? text('crop_is', { l, t, r, b }) : text('crop_none');
  byId('whole').disabled = !crop;
}

function drag(event) {
  const before = crop;
  const box = cropper.getBoundingClientRect();
  const place = ({ clientX, clientY }) =>
    [within((clientX - box.left) / box.width), within((clientY - box.top) / box.height)];
  const [x, y] = place(event);
  event.preventDefault();
  cropper.focus();
  cropper.setPointerCapture(event.pointerId);
  cropper.onpointermove = (moved) => {
    const [toX, toY] = place(moved);
    draw([Math.min(x, toX), Math.min(y, toY), Math.max(x, toX), Math.max(y, toY)]);
  };
  cropper.onlostpointercapture = () => {
    cropper.onpointermove = null;
    if (crop && (crop[2] - crop[0] < STEP || crop[3] - crop[1] < STEP)) draw(before); // a tap
  };
}

function move(event) {
  const ways = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
  if (event.key === 'Escape') draw(null);
  if (!ways[event.key]) return;
  event.preventDefault();
  const [x, y] = ways[event.key];
  const [left, top, right, bottom] = crop ?? [0.25, 0.25, 0.75, 0.75];
  if (event.shiftKey) draw([left, top, within(right + x, left + STEP), within(bottom + y, top + STEP)]);
  else {
    const [dx, dy] = [within(x, -left, 1 - right), within(y, -top, 1 - bottom)];
    draw([left + dx, top + dy, right + dx, bottom + dy]);
  }
}

if (cropper) {
  cropper.addEventListener('pointerdown', drag);
  cropper.addEventListener('keydown', move);
  byId('whole').addEventListener('click', () => draw(null));
  draw(crop);
}

async function teach(triesLeft) {
  const classes = buttons.filter((_, n) => counts[n]).map((button) => button.dataset.class);
  try {
    const { number } = await call('POST', `${address}/versions`, { classes, camera: camera || null, crop });
    location.assign(`/teach/${head}/${number}`);
  } catch (error) {
    // Labelled pictures are still to be looked at, or another head is being taught.
    if (error.code !== 'busy' || !triesLeft) throw error;
    await new Promise((done) => setTimeout(done, 1000));
    await teach(triesLeft - 1);
  }
}

byId('teach').addEventListener('click', ({ currentTarget }) => busy(currentTarget, async () => {
  byId('taking').hidden = false;
  await Promise.allSettled(said.map((entry) => entry.sent));
  await teach(TRIES).finally(() => { byId('taking').hidden = true; });
}));
