// Elements, and the line at the bottom that says what happened.
const rights = new Set(document.body.dataset.rights.split(' '));

/** Whether who is signed in has a right: read, snap, label or admin. */
export const may = (right) => rights.has(right);

/** Makes an element: make('p', {class: 'soft', hidden: true}, 'text', make('b', {}, 'more')). Text is
 * only ever text: nothing here reads HTML. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Says a line to the person, for some seconds. */
export function say(line) {
  const shown = make('p', {}, line);
  document.getElementById('said').append(shown);
  setTimeout(() => shown.remove(), 4000 + 60 * line.length);
}

/** Runs what a person asked for, with its button off meanwhile; what goes wrong is said. */
export async function busy(button, work) {
  button.disabled = true;
  try {
    return await work();
  } catch (error) {
    say(error.message);
  } finally {
    button.disabled = false;
  }
}
