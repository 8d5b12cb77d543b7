// A new token is shown, this once.
import { make } from './dom.js';
import { text } from './texts.js';

addEventListener('done', ({ target, detail }) => {
  if (target.matches('form')) target.reset();
  if (!detail?.token) return;
  const shown = document.getElementById('made');
  const copy = make('button', { type: 'button', class: 'quiet', 'data-copy': true }, text('copy'));
  shown.replaceChildren(
    text('token_once'), make('p', { class: 'command' }, make('code', {}, detail.token), copy));
  shown.hidden = false;
  shown.focus();
});
