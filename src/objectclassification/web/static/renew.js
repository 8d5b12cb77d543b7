// The page as the server has it now: what has data-renew, and an id, takes its new content.
import { leave } from './api.js';
import { showTimes } from './time.js';

export async function renew() {
  const answer = await fetch(location.href);
  if (answer.status === 401) leave();
  if (!answer.ok) return;
  // The server's own page, in which every name is escaped; no script of it runs.
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  for (const part of document.querySelectorAll('[data-renew]')) {
    const now = page.getElementById(part.id);
    const focused = document.activeElement.id;
    part.replaceChildren(...now.childNodes);
    showTimes(part);
    if (focused) document.getElementById(focused)?.focus();
  }
}
