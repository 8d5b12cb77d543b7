// The cameras page: tiles that change as the hub tells, and snaps.
import { make, may, say } from './dom.js';
import { live, snap } from './live.js';
import { text } from './texts.js';
import { now, showTimes } from './time.js';

const RANK = { waiting: 0, requested: 0, delivered: 1, captured: 2, uploaded: 3, classified: 4 };
const PHONES = new Set(['offline', 'capture_failed']); // what one does about these is another thing there
const MOST_LABELS = 3;
const MOST_NAMES = 256; // of one snap
const RENEW_MS = 1000;
const PRESENCE_MS = 100;
const THUMBNAIL_SIDE = 320;
const MEDIUM_SIDE = 1024;

const byId = (id) => document.getElementById(id);
const tiles = byId('tiles');
const filter = byId('filter');
const known = new Map(); // by the camera's name
const own = new Set(); // ids of snaps from here
const pending = new Map(); // by the camera's name: what its tile is to show with the next frame
let frame = 0;
let waiting = 0;
let renewing = 0;

const part = (tile, name) => tile.querySelector(`.${name}`);
const percent = (score) => `${Math.round(100 * score)} %`;

// What the hub tells.

function heard(message) {
  if (message.type === 'error') say(message.detail);
  else if (message.type === 'done') finished(message);
  else if (message.type === 'event') happened(message);
}

function happened({ topic, name, data }) {
  if (topic === 'cameras' && name === 'forgotten') later();
  else if (topic === 'cameras') change(data.camera, { presence: data });
  else if (topic === 'shots') for (const shot of data.shots) change(shot.camera, { snap: data.snap, shot });
  else if (topic === 'snaps' && name === 'accepted') {
    for (const camera of data.cameras) change(camera, { snap: data.snap, shot: { state: 'requested' } });
  } else if (topic === 'snaps' && name === 'done') {
    if (tiles?.querySelector('.waits time')) later();
    for (const [camera, tile] of known) {
      if (snapOf(camera, tile) === data.snap) change(camera, { done: data.snap });
    }
  } else if (topic === 'pictures' && !own.has(data.snap)) renewSoon(data);
}

/** A picture that no shot told of: its slot may have a newer one, which only the server knows. */
function renewSoon({ camera, picture, snap: id }) {
  const tile = known.get(camera);
  if (id === null || (tile && snapOf(camera, tile) !== id && tile.dataset.picture !== picture)) later();
}

/** The snap that a tile shows, or is about to. */
const snapOf = (camera, tile) => pending.get(camera)?.snap ?? tile.dataset.snap;

function later() {
  renewing ||= setTimeout(() => {
    renewing = 0;
    renew().catch((error) => say(error.message));
  }, RENEW_MS);
}

function finished(done) {
  if (!own.delete(done.snap) || done.answered + done.failed + done.missing < 2) return;
  say(text('done', { ...done, ms: Math.round(done.elapsed_ms) }));
}

// What the tiles show. However much is told, it is drawn once a frame, and who comes and goes ten
// times a second.

function change(camera, what) {
  pending.set(camera, { ...pending.get(camera), ...what });
  if (what.presence) waiting ||= setTimeout(next, PRESENCE_MS);
  else next();
}

function next() {
  waiting = 0;
  frame ||= requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  let moved = false;
  for (const [camera, what] of pending) {
    const tile = known.get(camera);
    if (!tile) {
      later();
      continue;
    }
    if (what.presence) showPresence(tile, what.presence);
    if (what.shot) showShot(tile, what.snap, what.shot);
    if (what.done && what.done === tile.dataset.snap) part(tile, 'stage').querySelector('progress')?.remove();
    moved = sift(tile) || moved || Boolean(what.presence);
  }
  pending.clear();
  if (moved) count();
}

function showPresence(tile, { state, until }) {
  tile.dataset.state = state;
  const shown = part(tile, 'presence');
  shown.replaceChildren(text(state === 'asleep' ? 'asleep_until' : state));
  if (state !== 'asleep' && state !== 'offline') return;
  const at = state === 'asleep' ? until * 1000 : now();
  const time = make('time', { datetime: new Date(at).toISOString(), 'data-age': state !== 'asleep' });
  shown.append(' ', time);
  showTimes(shown);
}

function showShot(tile, id, shot) {
  tile.dataset.snap = id;
  const stage = part(tile, 'stage');
  if (shot.error) {
    const { code, detail } = shot.error;
    stage.replaceChildren(
      make('strong', { class: 'bad' }, text(`failed_${code}`)), `: ${detail}. `,
      text(PHONES.has(code) && 'phone' in tile.dataset ? 'do_phone' : `do_${code}`, tile.dataset));
  } else if (shot.state === 'classified') {
    const ms = Math.round(shot.elapsed_ms.classified);
    stage.replaceChildren(make('span', { class: 'ok' }, text('classified', { ms })));
  } else {
    const done = make('progress', { max: 4, value: RANK[shot.state], 'aria-hidden': 'true' });
    stage.replaceChildren(done, text(shot.state));
    if (shot.state === 'waiting') later(); // its line is the server's
  }
  if (shot.picture && (shot.state === 'classified' || shot.error)) showPicture(tile, shot);
}

function showPicture(tile, { state, picture, freshness, verdict, answers, predictions, unsure }) {
  if (tile.dataset.picture === picture.id) return;
  tile.dataset.picture = picture.id;
  const { id, url, width, height } = picture;
  const view = part(tile, 'view');
  const across = (side) => Math.round(Math.min(width, side * Math.min(1, width / height)));
  const medium = state === 'classified' && Math.max(width, height) > MEDIUM_SIDE
    ? `/api/pictures/${id}/medium ${across(MEDIUM_SIDE)}w, ` : '';
  const image = make('img', {
    class: 'picture', decoding: 'async', sizes: '(max-width: 36rem) 90vw, 18rem',
    srcset: `/api/pictures/${id}/thumbnail ${across(THUMBNAIL_SIDE)}w, ${medium}${url} ${width}w`, src: url,
    alt: text('newest', { camera: tile.dataset.camera }),
  });
  view.href = tiles.dataset.picturePage.replace('{id}', id);
  view.replaceChildren(image);
  const taken = part(tile, 'taken');
  taken.replaceChildren(
    make('time', { datetime: new Date(now()).toISOString(), 'data-age': true }),
    freshness ? make('span', { class: 'tag', title: text(`${freshness}_means`) }, text(freshness)) : '',
    unsure ? make('span', { class: 'tag unsure', title: text('unsure_means') }, text('unsure')) : '',
    verdict ? make('span', { class: `tag ${verdict}` }, text(`verdict_${verdict}`)) : '');
  showTimes(taken);
  part(tile, 'lines').replaceChildren(...lines(answers, predictions));
}

/** As lines_of in web/cameras.py. */
function lines(answers, predictions) {
  const best = new Map();
  for (const { label, score } of predictions) if (!best.has(label)) best.set(label, score);
  return [
    ...answers.map((answer) => (answer.class == null
      ? [`${answer.head}: ${text(`abstains_${answer.abstains ?? 'close'}`)}`]
      : [`${answer.head}: ${answer.class}`, answer.score])),
    ...[...best].slice(0, MOST_LABELS),
  ].map(([label, score]) => make('li', {},
    make('span', { dir: 'auto', title: label }, label),
    ...(score == null ? [] : [
      make('progress', { max: 1, value: score, 'aria-hidden': 'true' }), make('span', {}, percent(score))])));
}

/** Takes from the server what it shows now: after a gap, and for cameras that are new. */
async function renew() {
  const answer = await fetch(location.pathname);
  if (!answer.ok) throw new Error(text('odd_answer', { status: answer.status }));
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const fresh = page.getElementById('tiles');
  if (!fresh || !tiles) {
    if (fresh || tiles) location.reload();
    return;
  }
  const there = new Map([...fresh.children].map((tile) => [tile.dataset.camera, tile]));
  for (const [camera, tile] of known) if (!there.has(camera)) { tile.remove(); known.delete(camera); }
  for (const tile of there.values()) {
    const old = known.get(tile.dataset.camera);
    if (!old) {
      const after = [...tiles.children].find((other) => other.dataset.camera > tile.dataset.camera);
      tiles.insertBefore(tile, after ?? null);
      known.set(tile.dataset.camera, tile);
      continue;
    }
    for (const name of ['presence', 'view', 'taken', 'waits', 'lines']) part(old, name).replaceWith(part(tile, name));
    Object.assign(old.dataset, tile.dataset);
    part(old, 'stage').querySelector('progress')?.parentElement.replaceChildren();
  }
  showTimes(tiles);
  for (const tile of known.values()) sift(tile);
  count();
}

// Filter and selection.

/** Shows or hides a tile; whether that changed it. */
function sift(tile) {
  const words = [tile.dataset.camera, tile.dataset.groups, part(tile, 'lines').textContent].join(' ');
  const { q, state } = filter.elements;
  const fits = words.toLowerCase().includes(q.value.trim().toLowerCase())
    && ['', tile.dataset.state].includes(state.value);
  if (tile.hidden !== fits) return false;
  tile.hidden = !fits;
  return true;
}

const shown = () => [...known.values()].filter((tile) => !tile.hidden);
const selected = () => shown().filter((tile) => tile.querySelector(':checked'));
const names = (some) => some.map((tile) => tile.dataset.camera);

function count() {
  const visible = shown();
  const online = visible.filter((tile) => tile.dataset.state === 'online').length;
  byId('count').textContent = text('count', { cameras: visible.length, online });
  byId('nothing').hidden = visible.length > 0;
  if (!may('snap')) return;
  const number = selected().length;
  byId('snap-selected').hidden = number === 0;
  byId('snap-selected').textContent = text('snap_selected', { number });
  byId('snap-all').disabled = visible.length === 0;
  byId('snap-all').textContent = visible.length === known.size
    ? text('snap_all') : text('snap_shown', { number: visible.length });
}

function filtered() {
  for (const tile of known.values()) sift(tile);
  count();
  const set = [...new FormData(filter)].filter(([, value]) => value);
  history.replaceState(null, '', set.length ? `?${new URLSearchParams(set)}` : location.pathname);
}

// What a person does.

async function take(to) {
  try {
    for (let from = 0; from < to.length; from += MOST_NAMES) own.add(await snap(to.slice(from, from + MOST_NAMES)));
  } catch (error) {
    say(error.message);
  }
}

const takeSelected = () => take(names(selected()));

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches('input:not([type=checkbox]), select, textarea')) return;
  if (event.key === '/') {
    event.preventDefault();
    filter.elements.q.select();
  } else if (event.key === 's' && may('snap')) {
    const focused = document.activeElement.closest('.tile');
    if (selected().length) takeSelected();
    else if (focused) take(names([focused]));
  }
}

function start() {
  for (const tile of tiles.children) known.set(tile.dataset.camera, tile);
  filter.addEventListener('input', filtered);
  filter.addEventListener('submit', (event) => event.preventDefault());
  document.addEventListener('keydown', pressed);
  tiles.addEventListener('change', count);
  tiles.addEventListener('click', ({ target }) => {
    if (target.matches('.snap')) take(names([target.closest('.tile')]));
  });
  byId('snap-selected')?.addEventListener('click', takeSelected);
  byId('snap-all')?.addEventListener('click', () => {
    take(shown().length === known.size ? ['*'] : names(shown()));
  });
  count();
}

if (tiles) start();
live({ topics: ['cameras', 'shots', 'snaps', 'pictures'], onMessage: heard, refresh: renew });
