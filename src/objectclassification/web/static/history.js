// The history: it goes on while one scrolls; pictures are selected, labelled, deleted.
import { call } from './api.js';
import { busy, make, say } from './dom.js';
import { live } from './live.js';
import { text } from './texts.js';
import { showTimes } from './time.js';

const AT_ONCE = 200; // the API's bound for labels
const gallery = document.querySelector('[data-gallery]');
const bar = document.getElementById('selection');
const filters = document.querySelector('[data-filters]');
const notices = document.querySelector('[data-notices]');

// Days are the reader's: until the server knows the zone, they are UTC's.
const zone = String(-new Date().getTimezoneOffset());
const field = filters.elements.zone_min;
if (field.value !== zone) {
  const query = new URLSearchParams(location.search);
  query.set('zone_min', zone);
  location.replace(`${location.pathname}?${query}`);
}

// The next page, before the end of this one is seen.
const near = new IntersectionObserver(
  (seen) => seen.some((one) => one.isIntersecting) && load(),
  { rootMargin: '1500px' });
const watchTheEnd = () => {
  const end = gallery?.querySelector('[data-older]');
  if (end) near.observe(end);
};
watchTheEnd();

async function load() {
  const link = gallery.querySelector('[data-older]');
  near.disconnect();
  const answer = await fetch(`${link.href}&part=tiles`).catch(() => null);
  if (!answer?.ok) return; // the link is still one to follow
  // The server's own tiles: escaped there, and inert as a document of their own.
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const tiles = [...page.body.children];
  showTimes(page);
  link.closest('li').replaceWith(...tiles);
  watchTheEnd();
}

const tile = (id) => gallery?.querySelector(`[data-picture="${CSS.escape(id)}"]`);
const chosen = () => [...gallery.querySelectorAll('.tile:not([hidden]) :checked')];

function show() {
  if (!bar) return;
  const number = chosen().length;
  bar.querySelector('[data-selected]').textContent =
    number ? text('selected', { number }) : text('none_selected');
  for (const button of bar.querySelectorAll('[data-label], [data-delete]')) button.disabled = !number;
  bar.querySelector('[data-clear]').hidden = !number;
}

// With Shift, all between the last one and this one.
let last = null;
gallery?.addEventListener('click', (event) => {
  if (event.target.type !== 'checkbox') return;
  const all = [...gallery.querySelectorAll('.tile:not([hidden]) [type=checkbox]')];
  const [from, to] = [all.indexOf(last), all.indexOf(event.target)].sort((a, b) => a - b);
  if (event.shiftKey && from >= 0) {
    for (const box of all.slice(from, to + 1)) box.checked = event.target.checked;
  }
  last = event.target;
  show();
});

bar?.addEventListener('click', ({ target }) => {
  const ids = chosen().map((box) => box.value);
  if ('clear' in target.dataset) clear();
  if ('delete' in target.dataset) {
    busy(target, async () => {
      for (let at = 0; at < ids.length; at += 1000) {
        const made = await call('POST', '/api/deletions', { pictures: ids.slice(at, at + 1000) });
        note(made);
      }
      hide(ids, true);
    }).then(show);
  }
  if ('label' in target.dataset) {
    const name = bar.querySelector('[data-class]').value.trim();
    if (!name) return bar.querySelector('[data-class]').focus();
    busy(target, async () => {
      for (let at = 0; at < ids.length; at += AT_ONCE) {
        const some = ids.slice(at, at + AT_ONCE);
        await call('PATCH', '/api/pictures', { pictures: some, labels: { '': name } });
        some.forEach((id) => label(id, name));
      }
      say(text('labelled', { pictures: ids.length }));
      clear();
    }).then(show);
  }
});
bar?.querySelector('[data-class]')?.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter') return;
  event.preventDefault();
  bar.querySelector('[data-label]').click();
});

function clear() {
  for (const box of chosen()) box.checked = false;
  show();
}

function hide(ids, hidden) {
  for (const one of ids.map(tile).filter(Boolean)) {
    one.hidden = hidden;
    if (hidden) one.querySelector('input').checked = false;
  }
  show();
}

function label(id, name) {
  const shown = tile(id)?.querySelector('[data-said]');
  if (!shown || !name) return;
  shown.textContent = name;
  shown.parentElement.querySelector('.soft')?.remove();
}

function note(made) {
  const undo = make('button', { type: 'button', 'data-undo': true }, text('undo'));
  const said = make('span', {}, text('deleted', { pictures: made.pictures }));
  notices.prepend(make('p', { class: 'notice', 'data-deletion': made.id }, said, undo));
  undo.focus({ preventScroll: true });
  notices.scrollIntoView({ block: 'nearest' });
}

notices.addEventListener('click', ({ target }) => {
  if (!('undo' in target.dataset)) return;
  const notice = target.closest('[data-deletion]');
  busy(target, async () => {
    await call('DELETE', `/api/deletions/${notice.dataset.deletion}`);
    notice.remove();
  });
});

// What others do shows here, too.
let fresh = 0;
const seen = new Set();
live({
  topics: ['pictures'],
  onMessage({ name, data }) {
    if (name === 'deleted') hide(data.pictures, true);
    if (name === 'restored') {
      hide(data.pictures, false);
      if (!data.pictures.every(tile)) location.reload();
    }
    if (name === 'labelled' && '' in data.said) data.pictures.forEach((id) => label(id, data.said['']));
    if (name === 'uploaded') news(1);
  },
  refresh: () => news(0),
});

function news(number) {
  fresh += number;
  const place = document.querySelector('[data-new]');
  if (!place || !fresh) return;
  place.hidden = false;
  place.firstElementChild.textContent = text('new', { number: fresh });
}
