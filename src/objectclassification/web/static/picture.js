// One picture: its labels, and the keys that lead to the next one.
import { call } from './api.js';
import { busy, make, may, say } from './dom.js';
import { live } from './live.js';
import { text } from './texts.js';

const id = document.querySelector('[data-picture]').dataset.picture;
const address = `/api/pictures/${id}`;
const list = document.querySelector('[data-labels]');
const form = document.querySelector('[data-labelling]');

function show(labels) {
  list.replaceChildren(...Object.entries(labels).map(([head, name]) => make(
    'li', { 'data-head': head },
    make('span', {}, make('span', { class: 'soft', dir: 'auto' }, head || text('on_it')), ' ',
      make('b', { dir: 'auto' }, name)),
    may('label') ? make('button', { type: 'button', class: 'quiet', 'data-remove': true }, text('remove')) : null)));
  document.querySelector('[data-unsaid]').hidden = list.childElementCount > 0;
}

const say_ = async (head, name) =>
  show((await call('PATCH', address, { labels: { [head]: name } })).labels);

form?.addEventListener('submit', (event) => {
  event.preventDefault();
  const field = form.elements.class;
  busy(event.submitter ?? form.querySelector('button'), async () => {
    await say_(form.elements.head.value, field.value);
    field.value = '';
  });
});

list.addEventListener('click', ({ target }) => {
  if (!('remove' in target.dataset)) return;
  busy(target, () => say_(target.closest('[data-head]').dataset.head, null));
});

document.querySelector('[data-delete]')?.addEventListener('click', ({ target }) =>
  busy(target, async () => {
    await call('POST', '/api/deletions', { pictures: [id] });
    location.assign('/history'); // where it can be undone
  }));

addEventListener('keydown', (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest('input, select, textarea')) return;
  const rel = { ArrowLeft: 'prev', ArrowRight: 'next' }[event.key];
  if (rel) document.querySelector(`.beside [rel=${rel}]`)?.click();
});

live({
  topics: ['pictures'],
  async onMessage({ name, data }) {
    if (data?.picture === id && name !== 'uploaded') location.reload();
    if (!data?.pictures?.includes(id)) return;
    if (name === 'labelled') await refresh();
    if (name === 'deleted') say(text('gone'));
  },
  refresh,
});

async function refresh() {
  show((await call('GET', address)).labels);
}
