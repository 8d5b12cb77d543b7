// On every page.
import { say } from './dom.js';
import { text } from './texts.js';
import { showTimes } from './time.js';

document.documentElement.classList.add('js');
showTimes();
setInterval(() => document.hidden || showTimes(), 10_000);
document.addEventListener('visibilitychange', () => document.hidden || showTimes());
// A page that stays open is in use: its session goes on, and here is where it is noted.
setInterval(() => fetch(location.href, { method: 'HEAD' }).catch(() => {}), 6 * 3600_000);

document.addEventListener('click', async ({ target }) => {
  const button = target.closest('[data-copy]');
  if (!button) return;
  const code = button.parentElement.querySelector('code');
  getSelection().selectAllChildren(code);
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // Without TLS there is no clipboard, but this; and else it is selected at least.
    if (!document.execCommand('copy')) return;
  }
  say(text('copied'));
});
