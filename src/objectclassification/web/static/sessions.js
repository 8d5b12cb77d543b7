// Signs browsers out.
import { call, leave } from './api.js';
import { busy } from './dom.js';

document.querySelector('tbody')?.addEventListener('click', ({ target }) => {
  if (!target.closest('[data-end]')) return;
  const row = target.closest('[data-session]');
  busy(target, async () => {
    await call('DELETE', `/api/sessions/${row.dataset.session}`);
    if (row.querySelector('.tag')) leave();
    else row.remove();
  });
});
