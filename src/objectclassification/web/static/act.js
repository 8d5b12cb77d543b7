// Buttons, choices and forms that are one call of the API: data-call="DELETE /api/tokens/…".
import { call } from './api.js';
import { busy } from './dom.js';
import { renew } from './renew.js';

/** data-body; or what was chosen; or a form's fields, of which data-list are one a line. */
function bodyOf(element) {
  const { body } = element.dataset;
  if (body) return JSON.parse(body);
  if (element.matches('select')) return { [element.name]: JSON.parse(element.value) };
  if (!element.matches('form')) return undefined;
  const fields = [...element.elements].filter((field) => field.name && field.value.trim());
  const list = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean);
  return Object.fromEntries(fields.map(({ name, value, dataset, type }) =>
    [name, 'list' in dataset ? list(value) : type === 'number' ? Number(value) : value.trim()]));
}

/** data-sure asks first; the event "done" brings the answer; then the page is renewed. */
function act(element, button = element) {
  const { call: what, sure, done } = element.dataset;
  if (sure && !confirm(sure)) return;
  busy(button, async () => {
    const [method, path] = what.replace('{value}', element.value).split(' ');
    try {
      const detail = await call(method, path, bodyOf(element));
      element.dispatchEvent(new CustomEvent('done', { detail, bubbles: true }));
      if (done) element.replaceWith(done);
    } finally {
      await renew();
    }
  });
}

addEventListener('click', ({ target }) => {
  const button = target.closest('button[data-call]');
  if (button) act(button);
});
addEventListener('change', ({ target }) => target.matches('select[data-call]') && act(target));
addEventListener('submit', (event) => {
  if (!event.target.dataset.call) return;
  event.preventDefault();
  act(event.target, event.submitter);
});
