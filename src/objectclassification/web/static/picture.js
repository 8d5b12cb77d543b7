// One picture: its labels, and the keys that lead to the next one.
import { call } from './api.js';
import { busy, say } from './dom.js';
import { live } from './live.js';
import { renew } from './renew.js';
import { text } from './texts.js';

const id = document.querySelector('[data-picture]').dataset.picture;
const form = document.querySelector('[data-labelling]');

form?.addEventListener('submit', (event) => {
  event.preventDefault();
  const { head, class: field } = form.elements;
  busy(event.submitter ?? form.querySelector('button'), async () => {
    await call('PATCH', `/api/pictures/${id}`, { labels: { [head.value]: field.value } });
    field.value = '';
    await renew();
  });
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
    if (name === 'labelled') await renew();
    if (name === 'deleted') say(text('gone'));
  },
  refresh: renew,
});
